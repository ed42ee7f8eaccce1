"""JSON as the text it is written in: what is only passed on is never written anew.

`1.0`, `1e2` and `12345678901234567890` are other texts than a parser and a writer would make of
them. Texts that come from outside are read with `members_of` or `line_of`; what has passed those is
taken apart with `texts_of` and `items_of`, which look for nothing any more.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii
from json.scanner import make_scanner
from typing import Any, TypeVar, cast

_BLANKS = frozenset(" \t\n\r")
_BLANK = re.compile(r"[ \t\n\r]*")

T = TypeVar("T")
_Scan = Callable[[str, int], tuple[Any, int]]


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


def texts_of(document: bytes | str) -> dict[str, str] | None:
    """Split a JSON object into its members' own texts, None when it is no object."""
    try:
        text = document if isinstance(document, str) else document.decode()
        return {name: text[at:end] for name, _, at, end in _members(text, _SCAN)}
    except (ValueError, RecursionError):
        return None


def items_of(document: str) -> list[str] | None:
    """Split a JSON array into its items' own texts, None when it is no array."""
    try:
        return _items(document, _SCAN)
    except (ValueError, RecursionError):
        return None


def line_of(body: str) -> str:
    """Return the text of one JSON value on one line. Raises ValueError as `members_of` does."""
    try:
        _STRICT.decode(body)
    except _Twice:
        return _WRITER.encode(_LAST.decode(body))
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep
    return one_line(body)


def string_of(value: str | None) -> str | None:
    """Return the string a JSON text is, None for any other value."""
    if value is None or not value.startswith('"'):
        return None
    text: str = json.loads(value)
    return text


def object_of(members: Mapping[str, str]) -> str:
    """Return the text of an object from its members' texts."""
    parts = [f"{encode_basestring_ascii(name)}:{text}" for name, text in members.items()]
    return "{" + ",".join(parts) + "}"


def array_of(items: Iterable[str]) -> str:
    """Return an array of these items, given as JSON texts."""
    return "[" + ",".join(items) + "]"


def one_line(text: str) -> str:
    """Return a JSON text without line ends: raw ones stand only between tokens."""
    return text.replace("\n", " ").replace("\r", " ")


def is_json(content_type: str) -> bool:
    """Whether a Content-Type says that its body is JSON (RFC 6839 section 3.1)."""
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")


def _meant(text: str) -> dict[str, Member]:
    try:
        parts = _members(text, _SCAN_ONCE)
        found = {name: Member(value, one_line(text[at:end])) for name, value, at, end in parts}
        if len(found) == len(parts):
            return found
    except _Twice:
        parts = _members(text, _SCAN)
    return {name: Member(value, _WRITER.encode(value)) for name, value, _, _ in parts}


def _members(text: str, scan: _Scan) -> list[tuple[str, Any, int, int]]:
    """Return name, value, begin and end of each member. Raises ValueError."""
    parts: list[tuple[str, Any, int, int]] = []
    try:
        at = _past(text, 0, "{")
        while text[at] != "}":
            if text[at] != '"':
                raise ValueError("a member's name is a string")
            name, end = scan(text, at)
            at = _past(text, end, ":")
            value, end = scan(text, at)
            parts.append((name, value, at, end))
            at = _next(text, end, "}")
    except (IndexError, StopIteration) as cut:
        raise ValueError("the text ends too early") from cut
    return _whole(text, at, parts)


def _items(text: str, scan: _Scan) -> list[str]:
    """Return the text of each item. Raises ValueError."""
    items: list[str] = []
    try:
        at = _past(text, 0, "[")
        while text[at] != "]":
            _, end = scan(text, at)
            items.append(text[at:end])
            at = _next(text, end, "]")
    except (IndexError, StopIteration) as cut:
        raise ValueError("the text ends too early") from cut
    return _whole(text, at, items)


def _next(text: str, at: int, closing: str) -> int:
    """Return where the part after this one begins, or where the closing bracket is."""
    mark = text[at]
    if mark in _BLANKS:
        at = _skipped(text, at)
        mark = text[at]
    if mark == closing:
        return at
    at = _past(text, at, ",")
    if text[at] == closing:
        raise ValueError("nothing follows a comma")
    return at


def _past(text: str, at: int, mark: str) -> int:
    """Return where the next token begins after the mark that has to come here."""
    if text[at] in _BLANKS:
        at = _skipped(text, at)
    if text[at] != mark:
        raise ValueError(f"a {mark} is missing")
    at += 1
    return _skipped(text, at) if text[at] in _BLANKS else at


def _whole(text: str, at: int, parts: T) -> T:
    """Return the parts when the bracket that closes them ends the text."""
    if len(text) != at + 1 and _skipped(text, at + 1) != len(text):
        raise ValueError("something follows the end")
    return parts


def _skipped(text: str, at: int) -> int:
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
_LAST = json.JSONDecoder(parse_constant=_refuse_constant)
_SCAN_ONCE: _Scan = make_scanner(cast("Any", _STRICT))  # which is what it takes
_SCAN: _Scan = make_scanner(cast("Any", _LAST))
_WRITER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
