"""The digest of a bundle's file as OPA's signatures have it.

OPA documentation, "Bundle signing": plain files by their bytes; `.manifest` and data by the JSON
value in them, so that white space and the order of keys do not count.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from proxy.errors import PolicyInvalid

ALGORITHM = "SHA-256"
STRUCTURED = frozenset({".manifest", "data.json"})
MAX_DEPTH = 100


class _Number(str):
    """A number as it is spelt: OPA hashes the spelling."""

    __slots__ = ()


def hash_of(path: str, content: bytes) -> str:
    """Return the digest in hex. Raises PolicyInvalid for data that is not plain JSON."""
    state = hashlib.sha256()
    if path.rpartition("/")[2] not in STRUCTURED:
        state.update(content)
        return state.hexdigest()
    for part in _parts(_value(path, content), 0):
        state.update(part.encode())
    return state.hexdigest()


def _value(path: str, content: bytes) -> Any:
    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in members}) < len(members):
            raise ValueError("a key stands twice")
        return dict(members)

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        text = content.decode()
        value = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=refuse,
        )
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair has no UTF-8
    except (ValueError, RecursionError):
        raise PolicyInvalid(f"{path}: not strict JSON. Cure: build the bundle again") from None
    return value


def _parts(value: Any, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise PolicyInvalid(f"data nested deeper than {MAX_DEPTH}. Cure: make it flatter")
    if isinstance(value, dict):
        members = ((f"{_primitive(key)}:", *_parts(value[key], depth + 1)) for key in sorted(value))
        yield from _enclosed("{", members, "}")
    elif isinstance(value, list):
        yield from _enclosed("[", (tuple(_parts(item, depth + 1)) for item in value), "]")
    else:
        yield value if isinstance(value, _Number) else _primitive(value)


def _enclosed(opening: str, items: Iterator[tuple[str, ...]], closing: str) -> Iterator[str]:
    yield opening
    for number, item in enumerate(items):
        if number:
            yield ","
        yield from item
    yield closing


def _primitive(value: str | bool | None) -> str:
    """Spell it as Go's encoder does: two separators escaped, and nothing for HTML's sake."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
