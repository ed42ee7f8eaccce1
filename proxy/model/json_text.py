"""JSON objects as the text they are written in: members keep the spelling of their numbers.

`1.0`, `1e2` and `12345678901234567890` are other texts than a parser and a writer would make of
them, so what is only passed on is never written anew.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BLANKS = frozenset(" \t\n\r")
_BLANK = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Member:
    """A member's value, and its JSON text on one line."""

    value: Any
    text: str


class _Twice(ValueError):
    """A name stands twice in an object."""


def members_of(text: str) -> dict[str, Member]:
    """Split the text of a JSON object (RFC 8259). Raises ValueError for anything else.

    NaN and Infinity are refused. A name that stands twice in an object has two meanings: such a
    text is written anew with the last one, as parsers read it.
    """
    try:
        return _meant(text)
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep


def object_of(members: Mapping[str, str]) -> str:
    """Return the text of an object from its members' texts."""
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in members.items()) + "}"


def one_line(text: str) -> str:
    """Return a JSON text without line ends: raw ones stand only between tokens."""
    return text.replace("\n", " ").replace("\r", " ")


def _meant(text: str) -> dict[str, Member]:
    try:
        return _split(text, _STRICT)
    except _Twice:
        found = _split(text, _LENIENT)
        return {name: Member(one.value, _WRITER.encode(one.value)) for name, one in found.items()}


def _split(text: str, decoder: json.JSONDecoder) -> dict[str, Member]:
    members: dict[str, Member] = {}
    try:
        at = _after(text, _skip(text, 0), "{")
        while text[at] != "}":
            name, at = _named(text, at, decoder)
            value, end = decoder.raw_decode(text, at)
            if name in members and decoder is _STRICT:
                raise _Twice
            members[name] = Member(value, one_line(text[at:end]))
            at = _next(text, end)
    except IndexError as cut:
        raise ValueError("the text ends too early") from cut
    if _skip(text, at + 1) != len(text):
        raise ValueError("something follows the object")
    return members


def _named(text: str, at: int, decoder: json.JSONDecoder) -> tuple[str, int]:
    """Return a member's name, and where its value begins."""
    name, end = decoder.raw_decode(text, at)
    if not isinstance(name, str):
        raise ValueError("a member's name is a string")  # noqa: TRY004 as told
    return name, _after(text, _skip(text, end), ":")


def _next(text: str, end: int) -> int:
    """Return where the next member begins, or where the closing brace is."""
    at = _skip(text, end)
    if text[at] == "}":
        return at
    at = _after(text, at, ",")
    if text[at] == "}":
        raise ValueError("nothing follows a comma")
    return at


def _after(text: str, at: int, mark: str) -> int:
    """Return where the next token begins after the mark that has to stand here."""
    if text[at] != mark:
        raise ValueError(f"a {mark} is missing")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    if text[at : at + 1] not in _BLANKS:
        return at  # which is how machines write
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


_STRICT = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse_constant)
_LENIENT = json.JSONDecoder(parse_constant=_refuse_constant)
_WRITER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
