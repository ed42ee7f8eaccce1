"""What the decision log keeps of a policy input: all of it, but for what must not be seen.

Four things are replaced by stand-ins: what the policy's own masks point at, what the tool's schema
calls secret, what looks like a live secret, and every text beside them that holds one of these.
"""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from proxy.pdp.review.pointers import Place, parse_pointers, places, pointer
from proxy.pdp.review.stand_ins import StandIns

# What came from the agent. The rest of an input is the gateway's and the bundle's own.
AGENT_PARTS = ("arguments", "extras", "meta", "input_responses")
MIN_HIDDEN_CHARS = 5
MAX_HIDDEN = 64
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

    Raises ValueError when the masks are not a list of pointers or the input is nested too deeply.
    """
    wanted = parse_pointers(masks)
    shown = _without_manifest(document)
    try:
        hiding = _Hiding(shown, stand_ins)
        for steps in wanted:
            hiding.hide(places(shown, steps))
        hiding.hide(_secret_places(shown, schema, seers))
        hiding.hide_where(lambda text: seers.masked_text(text) != text)
        hidden = hiding.texts()
        hiding.hide_where(lambda text: any(one in text for one in hidden))
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep
    hiding.follow(seers)
    return Shown(shown, tuple(sorted(hiding.masked)))


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
    """The places of one input that are hidden by now."""

    def __init__(self, shown: dict[str, Any], stand_ins: StandIns) -> None:
        self._shown = shown
        self._stand_ins = stand_ins
        self._texts: set[str] = set()
        self.masked: set[str] = set()

    def hide(self, found: Iterator[Place], *, names: bool = False) -> None:
        """Put stand-ins there. A place inside of one that is hidden already is left."""
        for place in list(found):
            if not place or any(pointer(place[:end]) in self.masked for end in range(len(place))):
                continue
            if pointer(place) in self.masked:
                continue
            holder: Any = self._shown
            for step in place[:-1]:
                holder = holder[step]
            self._texts.update(text for _, text in _texts(holder[place[-1]], ()))
            holder[place[-1]] = self._stand_ins.of(holder[place[-1]], names=names)
            self.masked.add(pointer(place))

    def hide_where(self, is_hidden: Callable[[str], bool]) -> None:
        """Hide such texts of the agent, and whole objects in which one is a member's name."""
        context = self._shown.get("context")
        if not isinstance(context, dict):
            return
        for name in AGENT_PARTS:
            place = ("context", name)
            keys = _names(context.get(name), place)
            self.hide((at for at, key in keys if is_hidden(key)), names=True)
            self.hide(at for at, text in _texts(context.get(name), place) if is_hidden(text))

    def texts(self) -> list[str]:
        """Return the longest of the texts that were hidden."""
        long = (text for text in self._texts if len(text) >= MIN_HIDDEN_CHARS)
        return sorted(long, key=len, reverse=True)[:MAX_HIDDEN]

    def follow(self, seers: Seers) -> None:
        """Make what was derived from the arguments fit what is left of them."""
        context = self._shown.get("context")
        if not self.masked or not isinstance(context, dict):
            return
        parts = {name: context[name] for name in AGENT_PARTS if context.get(name)}
        urls = list(seers.urls_in(parts))
        if urls != context.get("urls", []):
            context["urls"] = urls
            self.masked.add("/context/urls")
        digest = context.get("arguments_sha256")
        if isinstance(digest, str):
            context["arguments_sha256"] = self._stand_ins.of_sha256(digest)
            self.masked.add("/context/arguments_sha256")


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
