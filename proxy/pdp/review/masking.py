"""What the decision log keeps of a policy input: all of it, but for what must not be seen.

Four things are replaced by stand-ins: what the policy's own masks point at, what the tool's schema
calls secret, what looks like a live secret, and every text beside them that holds one of these.
"""

import copy
import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from proxy.pdp.review.pointers import Place, parse_pointers, places, pointer
from proxy.pdp.review.stand_ins import StandIns

# What came from the agent. The rest of an input is the gateway's and the bundle's own.
AGENT_PARTS = ("arguments", "extras", "meta", "input_responses")
MIN_HIDDEN_CHARS = 5
MAX_HIDDEN = 256
MAX_DEPTH = 200

_ABOUT_ARGUMENTS = (*AGENT_PARTS, "arguments_sha256", "urls")


@dataclass(frozen=True, slots=True)
class Seers:
    """Who knows a secret when they see one.

    `masked_text` returns a text without live secrets and token shapes; `urls_in` the normalised
    URLs in an object; `without_secrets` takes arguments and the JSON Schema of a tool, and returns
    the arguments with another value wherever the schema says secret.
    """

    masked_text: Callable[[str], str]
    urls_in: Callable[[dict[str, Any]], tuple[str, ...]]
    without_secrets: Callable[[bytes, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Shown:
    """An input as it may be kept; `masked` are the pointers of what was replaced."""

    input: dict[str, Any]
    masked: tuple[str, ...]


def masked_input(
    document: dict[str, Any], masks: Any, schema: bytes, seers: Seers, stand_ins: StandIns
) -> Shown:
    """Return an input with stand-ins; `masks` is the answer of `data.detent.log.mask`.

    Raises ValueError when the masks are not a list of pointers, the input is nested too deeply, or
    more is hidden than can be looked for elsewhere.
    """
    wanted = parse_pointers(masks)
    shown = _without_manifest(document)
    hiding = _Hiding(shown)
    try:
        for steps in wanted:
            hiding.hide(places(shown, steps))
        hiding.hide(_secret_places(shown, schema, seers))
        hiding.hide_where(lambda text: seers.masked_text(text) != text)
        hiding.hide_where(hiding.holding().__contains__)
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep
    masked = hiding.replace(stand_ins)
    if masked:
        masked |= _follow(shown, seers, stand_ins)
    return Shown(shown, tuple(sorted(masked)))


def withheld_input(document: dict[str, Any]) -> dict[str, Any]:
    """Return an input without everything that the agent sent; it cannot be replayed."""
    shown = _without_manifest(document)
    context = shown.get("context")
    if isinstance(context, dict):
        shown["context"] = {
            name: member for name, member in context.items() if name not in _ABOUT_ARGUMENTS
        }
    return shown


def _without_manifest(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out the manifest, which stands in the bundle of the revision; share nothing."""
    shown = {**document, "context": copy.deepcopy(document.get("context"))}
    resource = document.get("resource")
    if isinstance(resource, dict):
        shown["resource"] = {name: resource[name] for name in resource if name != "manifest"}
    return shown


class _Hiding:
    """The places of one input that are to be hidden, all of them found before one is."""

    def __init__(self, shown: dict[str, Any]) -> None:
        self._shown = shown
        self._found: dict[Place, bool] = {}

    def hide(self, found: Iterator[Place], *, names: bool = False) -> None:
        """Hide what stands there; with its `names`, when one of them is a secret."""
        for place in found:
            self._found[place] = names or self._found.get(place, False)

    def hide_where(self, is_hidden: Callable[[str], bool]) -> None:
        """Hide such texts of the agent, and whole objects in which one is a member's name."""
        for part, place in self._parts():
            self.hide((at for at, key in _names(part, place) if is_hidden(key)), names=True)
            self.hide(at for at, text in _texts(part, place) if is_hidden(text))

    def holding(self) -> set[str]:
        """Return the agent's texts in which one stands that is hidden elsewhere.

        Raises ValueError when these are too many to be looked for.
        """
        inner = (text for place in self._outer() for _, text in _texts(self._at(place), ()))
        hidden = {text for text in inner if len(text) >= MIN_HIDDEN_CHARS}
        if len(hidden) > MAX_HIDDEN:
            raise ValueError(f"more than {MAX_HIDDEN} texts are to be hidden")
        given = {text for part, place in self._parts() for _, text in _texts(part, place)}
        given |= {name for part, place in self._parts() for _, name in _names(part, place)}
        return _holding(list(given), hidden)

    def replace(self, stand_ins: StandIns) -> set[str]:
        """Put stand-ins there, and return the pointers: no name of a hidden object is in them."""
        outer = self._outer()
        for place, names in outer.items():
            self._at(place[:-1])[place[-1]] = stand_ins.of(self._at(place), names=names)
        return {pointer(place) for place in outer}

    def _parts(self) -> Iterator[tuple[Any, Place]]:
        context = self._shown.get("context")
        if isinstance(context, dict):
            yield from ((context.get(name), ("context", name)) for name in AGENT_PARTS)

    def _outer(self) -> dict[Place, bool]:
        """Return the places that are in no other, and whether there is a secret name in them."""
        outer: dict[Place, bool] = {}
        for place in sorted(self._found, key=len):
            above = (place[:end] for end in range(1, len(place) + 1))
            first = next(one for one in above if one in outer or one == place)
            outer[first] = outer.get(first, False) or self._found[place]
        return outer

    def _at(self, place: Place) -> Any:
        found: Any = self._shown
        for step in place:
            found = found[step]
        return found


def _holding(texts: list[str], hidden: Iterable[str]) -> set[str]:
    """Return the texts that hold a hidden one; each is looked for once, in all of them as one."""
    starts = list(accumulate((len(text) + 1 for text in texts), initial=0))
    joined = "\0".join(texts)
    found = set()
    for one in hidden:
        at = joined.find(one)
        while at >= 0:
            which = bisect_right(starts, at) - 1
            found.add(texts[which])
            at = joined.find(one, starts[which + 1])
    return found


def _follow(shown: dict[str, Any], seers: Seers, stand_ins: StandIns) -> set[str]:
    """Make what was derived from the arguments fit what is left of them; return the pointers."""
    context = shown.get("context")
    if not isinstance(context, dict):
        return set()
    masked = set()
    parts = {name: context[name] for name in AGENT_PARTS if context.get(name)}
    urls = list(seers.urls_in(parts))
    if urls != context.get("urls", []):
        context["urls"] = urls
        masked.add("/context/urls")
    digest = context.get("arguments_sha256")
    if isinstance(digest, str):
        context["arguments_sha256"] = stand_ins.of_sha256(digest)
        masked.add("/context/arguments_sha256")
    return masked


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Yield every string inside, with its place. Raises RecursionError."""
    if len(place) > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, (*place, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*place, index))


def _names(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Yield every name of a member inside, with the place of its object."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield place, name
            yield from _names(inner, (*place, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _names(inner, (*place, index))


def _secret_places(shown: dict[str, Any], schema: bytes, seers: Seers) -> Iterator[Place]:
    """Yield where the tool's schema says secret; of a schema nobody can follow, everything."""
    context = shown.get("context")
    arguments = context.get("arguments") if isinstance(context, dict) else None
    if not schema or not arguments:
        return
    given = json.dumps(arguments).encode()
    shown_to_all = seers.without_secrets(given, schema)
    if shown_to_all is not given:
        yield from _differing(arguments, json.loads(shown_to_all), ("context", "arguments"))


def _differing(value: Any, other: Any, place: Place) -> Iterator[Place]:
    if isinstance(value, dict) and isinstance(other, dict) and value.keys() == other.keys():
        for name, inner in value.items():
            yield from _differing(inner, other[name], (*place, name))
    elif isinstance(value, list) and isinstance(other, list) and len(value) == len(other):
        for index, inner in enumerate(value):
            yield from _differing(inner, other[index], (*place, index))
    elif value != other:
        yield place
