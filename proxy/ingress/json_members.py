"""JSON objects and arrays as the texts of their parts.

What a server said is taken apart only where a part has to be added or replaced: everything else
keeps the very spelling of its numbers and strings.
"""

import json
import re
from collections.abc import Iterable

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")


def members_of(document: bytes | str) -> dict[str, str] | None:
    """Split a JSON object into its members' own texts, None when it is no object."""
    try:
        text = document if isinstance(document, str) else document.decode()
        return _members(text) if text[_skip(text, 0)] == "{" else None
    except (ValueError, IndexError, RecursionError):
        return None


def items_of(document: str) -> list[str] | None:
    """Split a JSON array into its items' own texts, None when it is no array."""
    try:
        return _items(document) if document[_skip(document, 0)] == "[" else None
    except (ValueError, IndexError, RecursionError):
        return None


def array_of(items: Iterable[str]) -> str:
    """Return an array of these items, given as JSON texts."""
    return "[" + ",".join(items) + "]"


def text_of(value: str | None) -> str | None:
    """Return the string a JSON text is, None for any other value."""
    if value is None or not value.startswith('"'):
        return None
    text: str = json.loads(value)
    return text


def _members(text: str) -> dict[str, str]:
    members: dict[str, str] = {}
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, start)
        members[key] = text[start:end]
        at = _next(text, end)
    return members


def _items(text: str) -> list[str]:
    items: list[str] = []
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        items.append(text[at:end])
        at = _next(text, end)
    return items


def _next(text: str, end: int) -> int:
    """Return where the part after this one begins, or where the closing bracket is."""
    at = _skip(text, end)
    return _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at
