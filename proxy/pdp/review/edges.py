"""Where values end: what is just inside or outside of a constraint, or beside any value.

An edge is a value with the words for it; MISSING stands for none at all. Everything is in a fixed
order, without chance.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_TEXT_CHARS = 20_000  # longer caps are not tried: an input is read by people too
MISSING = object()

_STRANGE_HOST = "evil.example"
# Letters of other scripts that look like ours (Unicode TR 39, confusables).
_TWINS = str.maketrans("aceiopsxyACEHOPTX", "асеіорѕхуАСЕНОРТХ")  # noqa: RUF001  that is the point
_FULL_WIDTH = 0xFEE0


@dataclass(frozen=True, slots=True)
class Edge:
    """A value at an edge and what it is called."""

    name: str
    value: Any


Edges = Iterator[Edge]


def of_constraint(constraint: Mapping[str, Any], workspaces: Mapping[str, str]) -> Edges:
    """Yield the edges of every part of a manifest's constraint that is known here."""
    for kind, bound in sorted(constraint.items()):
        if kind in _KINDS:
            yield from _KINDS[kind](bound, workspaces)


def of_value(value: Any) -> Edges:
    """Yield what is beside any value: gone, of another type, and almost the same."""
    yield Edge("missing", MISSING)
    yield Edge("null", None)
    for name, other in (("a text", "7"), ("a number", 7), ("true", True), ("a list", [value])):
        if type(other) is not type(value):
            yield Edge(name, other)
    yield Edge("an object", {"value": value})
    if isinstance(value, str):
        yield from of_text(value)
    elif isinstance(value, list):
        yield from _of_list(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from (Edge("one more", value + 1), Edge("one less", value - 1))
        yield from (Edge("its negative", -value), Edge("in text", str(value)))


def of_text(text: str) -> Edges:
    """Yield what a careless reader takes for the same text."""
    yield Edge("no text", "")
    yield Edge("other case", text.swapcase())
    yield Edge("Unicode twin", twin(text))
    yield Edge("full width", _full_width(text))
    yield Edge("zero-width space", f"{text[:1]}\u200b{text[1:]}")
    yield Edge("space behind", f"{text} ")
    yield Edge("line behind", f"{text}\n--force")
    yield Edge("dash before", f"-{text}")
    yield Edge("one character more", f"{text}x")
    yield Edge("one character less", text[:-1])
    yield Edge("a level up", f"{text}/../..")


def twin(text: str) -> str:
    """Return a text that looks the same and is another."""
    return text.translate(_TWINS)


def inside(constraint: Mapping[str, Any], workspaces: Mapping[str, str]) -> Any:
    """Return a value that a constraint takes, as far as one part of it tells."""
    for kind, make in _INSIDE.items():
        if kind in constraint:
            return make(constraint[kind], workspaces)
    return "a"


def _of_list(items: list[Any]) -> Edges:
    yield Edge("an empty list", [])
    yield Edge("one item more", [*items, *items[:1]])
    yield Edge("one item of another type", [*items, 7])
    for edge in of_value(items[0]) if items else ():
        if edge.value is not MISSING:
            yield Edge(f"last item {edge.name}", [*items, edge.value])


def _paths(bound: Any, workspaces: Mapping[str, str]) -> Edges:
    for named in bound:
        root = _root(named, workspaces)
        shown = {
            "the root": root,
            "below the root": f"{root}/a",
            "slash behind": f"{root}/",
            "sibling with its prefix": f"{root}-evil",
            "beside the root": f"{root.rpartition('/')[0]}/evil",
            "above the root": root.rpartition("/")[0] or "/",
            "back to the root": f"{root}/a/../../{root.rpartition('/')[2]}",
            "out by ..": f"{root}/../evil",
            "dot segment": f"{root}/./a",
            "empty segment": f"{root}//a",
            "backslash": f"{root}\\..\\evil",
            "control character": f"{root}/a\x01",
            "escaped ..": f"{root}/%2e%2e/evil",
            "other case of the root": root.swapcase(),
            "Unicode twin of the root": twin(root),
            "dots of other width": f"{root}/\uff0e\uff0e/evil",
            "a URL": f"file://{root}",
        }
        for name, value in shown.items():
            yield Edge(f"{name} {named}", value)
        yield Edge(f"a list that leaves {named}", [root, f"{root}/../evil"])
    relative = ["a/b", "../a", "a/../../b", "~/a", "-a", ":(top)a", "/etc/passwd", "."]
    yield from (Edge(f"the path {path}", path) for path in relative)


def _hosts(bound: Any, _workspaces: Mapping[str, str]) -> Edges:
    for pattern in bound:
        host = str(pattern).replace("*.", "x.")
        bare = str(pattern).removeprefix("*.")
        for name, value in (
            ("listed", host),
            ("listed without its wildcard", bare),
            ("below the listed", f"a.{host}"),
            ("with the listed as its end", f"evil{bare}"),
            ("with the listed as its start", f"{host}.{_STRANGE_HOST}"),
            ("listed with a dot behind", f"{host}."),
            ("other case", host.upper()),
            ("Unicode twin", twin(host)),
            ("user information", f"{host}@{_STRANGE_HOST}"),
            ("a port", f"{host}:8443"),
            ("fragment before the host", f"{_STRANGE_HOST}#{host}"),
            ("backslash", f"{_STRANGE_HOST}\\@{host}"),
            ("an address", "127.0.0.1"),
            ("the cloud's metadata", "169.254.169.254"),
        ):
            yield Edge(f"host {name} {pattern}", f"https://{value}/")
        yield Edge(f"host alone {pattern}", host)
        yield Edge(f"other scheme {pattern}", f"file://{host}/etc/passwd")


def _networks(bound: Any, _workspaces: Mapping[str, str]) -> Edges:
    for text in bound:
        network = _network(text)
        if network is None:
            continue
        first, last = int(network.network_address), int(network.broadcast_address)
        make = type(network.network_address)
        for name, number in (("first", first), ("last", last), ("after", last + 1)):
            if number < 2**network.max_prefixlen:
                yield Edge(f"address {name} of {text}", _url_of(str(make(number))))
        if first:
            yield Edge(f"address before {text}", _url_of(str(make(first - 1))))
        yield Edge(f"as one number {text}", f"http://{first}/")
    yield Edge("a name for an address", "http://localhost/")


def _numbers(bound: Any, _workspaces: Mapping[str, str]) -> Edges:
    if isinstance(bound, int | float) and not isinstance(bound, bool):
        yield from (Edge(f"at {bound}", bound), Edge(f"one over {bound}", bound + 1))
        yield from (Edge(f"one under {bound}", bound - 1), Edge(f"half over {bound}", bound + 0.5))
        yield from (Edge(f"{bound} in text", str(bound)), Edge("far over", 2**53 - 1))


def _lengths(bound: Any, _workspaces: Mapping[str, str]) -> Edges:
    if isinstance(bound, int) and 0 < bound < MAX_TEXT_CHARS:
        yield Edge(f"{bound} characters", "a" * bound)
        yield Edge(f"{bound + 1} characters", "a" * (bound + 1))
        yield Edge(f"{bound} characters of two bytes", "é" * bound)
        if bound <= MAX_TEXT_CHARS // 20:
            yield Edge(f"{bound} items", ["a"] * bound)
            yield Edge(f"{bound + 1} items", ["a"] * (bound + 1))


def _choices(bound: Any, _workspaces: Mapping[str, str]) -> Edges:
    for value in bound:
        yield Edge(f"the choice {value}", value)
        if isinstance(value, str):
            for edge in of_text(value):
                yield Edge(f"the choice {value}, {edge.name}", edge.value)
    numbers = [value for value in bound if type(value) is int]
    if numbers:
        yield from (Edge("past the last", max(numbers) + 1), Edge("before", min(numbers) - 1))
    yield Edge("all choices", list(bound))


def _root(named: Any, workspaces: Mapping[str, str]) -> str:
    text = str(named)
    return workspaces.get(text[1:], text) if text.startswith("$") else text


def _network(text: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return None


def _url_of(address: str) -> str:
    return f"http://[{address}]/" if ":" in address else f"http://{address}/"


def _address_in(bound: Any) -> str:
    network = _network(bound[0])
    return _url_of(str(network.network_address)) if network else "http://127.0.0.1/"


def _full_width(text: str) -> str:
    return "".join(chr(ord(one) + _FULL_WIDTH) if "!" <= one <= "~" else one for one in text)


_KINDS: Mapping[str, Callable[[Any, Mapping[str, str]], Edges]] = {
    "cidr_in": _networks,
    "host_in": _hosts,
    "max": _numbers,
    "max_length": _lengths,
    "min": _numbers,
    "one_of": _choices,
    "path_within": _paths,
}
_INSIDE: Mapping[str, Callable[[Any, Mapping[str, str]], Any]] = {
    "path_within": lambda bound, workspaces: _root(bound[0], workspaces),
    "host_in": lambda bound, _: f"https://{str(bound[0]).replace('*.', 'x.')}/",
    "cidr_in": lambda bound, _: _address_in(bound),
    "one_of": lambda bound, _: bound[0],
    "min": lambda bound, _: bound,
    "max": lambda bound, _: bound,
}
