"""JSON bodies as the text they are written in.

`1.0`, `1e2` and `12345678901234567890` are other texts than a parser and a writer would make of
them, so a body that is only passed on is not written anew.
"""

import json
from typing import Any


class _Twice(ValueError):
    """A name stands twice in an object."""


def is_json(content_type: str) -> bool:
    """Whether a Content-Type says that its body is JSON (RFC 6839 section 3.1)."""
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")


def text_of(body: str) -> str:
    """Return the text of one JSON value (RFC 8259) on one line. Raises ValueError for others.

    NaN and Infinity are refused. A name that stands twice in an object has two meanings: such a
    body is written anew with the last one, as parsers read it.
    """
    try:
        _ONCE.decode(body)
    except _Twice:
        return _WRITER.encode(_LAST.decode(body))
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep
    # Raw line ends stand only between tokens; some readers of the whole go by lines.
    return body.replace("\n", " ").replace("\r", " ")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


_ONCE = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse_constant)
_LAST = json.JSONDecoder(parse_constant=_refuse_constant)
_WRITER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
