"""YAML that we write from what strangers wrote: every text stays one scalar or one comment."""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

MAX_COMMENT_CHARS = 160

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def comment(text: Any) -> str:
    """Return one line that stays a comment: no control, bidi or invisible characters."""
    return one_line(text, MAX_COMMENT_CHARS)


def one_line(text: Any, max_chars: int) -> str:
    """Return a text on one line, without control, bidi and invisible characters."""
    seen = "".join(
        " " if unicodedata.category(char)[0] in "CZ" else char
        for char in str(text)[: max_chars * 2]
    )
    return " ".join(seen.split())[:max_chars].rstrip()


def word(text: str) -> str:
    """Return a text as a scalar, in quotes unless every reader takes it for the text it is."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return f'"{"".join(map(_escaped, text))}"'


def lines_of(value: dict[str, Any], indent: int = 0) -> Iterator[str]:
    """Yield the lines of a block: mappings and lists of what JSON can hold."""
    space = " " * indent
    for key, member in value.items():
        if not _is_block(member):
            yield f"{space}{word(key)}: {_flow(member)}"
            continue
        yield f"{space}{word(key)}:"
        if isinstance(member, dict):
            yield from lines_of(member, indent + 2)
        else:
            yield from _items(member, indent + 2)


def _items(items: list[Any], indent: int) -> Iterator[str]:
    for item in items:
        if not _is_block(item):
            yield f"{' ' * indent}- {_flow(item)}"
            continue
        inner = lines_of(item, indent + 2) if isinstance(item, dict) else _items(item, indent + 2)
        first = next(inner)
        yield f"{' ' * indent}- {first.lstrip(' ')}"
        yield from inner


def _is_block(value: Any) -> bool:
    """Whether a value needs lines of its own: a mapping, or a list with one inside."""
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and any(isinstance(item, dict | list) for item in value)


def _flow(value: Any) -> str:
    if isinstance(value, str):
        return word(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return json.dumps(value)


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char == " " or unicodedata.category(char)[0] not in "CZ":
        return char
    return f"\\u{ord(char):04X}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08X}"  # noqa: PLR2004 four digits
