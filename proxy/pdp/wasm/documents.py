"""JSON documents as the module reads them rightly.

OPA's WebAssembly code reads the escape of a character beyond the first two planes as another
character, keeps a negative zero apart from zero, and takes what follows a document for nothing. So
a document with any of these is written anew before it is given to a module.
"""

import json
from typing import Any

_BEFORE, _AFTER = b'{"input":', b"}"
# An escaped surrogate, and a number that may be a negative zero; of what looks like one, no harm.
_DOUBTFUL = (b"\\ud", b"\\uD", b":-0", b",-0", b"[-0", b" -0")


class NotADocument(ValueError):
    """The body is not `{"input": …}`."""


def input_of(body: bytes) -> bytes:
    """Return the document of a body `{"input": …}`, safe to read. Raises NotADocument.

    The gateway writes its bodies itself and without blanks, so the usual one is cut out, not
    parsed.
    """
    if not body.startswith(_BEFORE) or any(mark in body for mark in _DOUBTFUL):
        return _parsed(body)
    return body[len(_BEFORE) : -len(_AFTER)]


def rewritten(document: bytes) -> bytes:
    """Return any JSON document as the module reads it rightly. Raises ValueError."""
    return _written(json.loads(document, parse_float=_number))


def _parsed(body: bytes) -> bytes:
    try:
        document = json.loads(body, parse_float=_number)
    except (ValueError, RecursionError):
        raise NotADocument("the body is not JSON") from None
    if not isinstance(document, dict) or document.keys() != {"input"}:
        raise NotADocument("the body has not exactly the member input")
    return _written(document["input"])


def _written(document: Any) -> bytes:
    try:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise NotADocument("the body has half of a character") from None


def _number(text: str) -> float:
    """Return a fraction, and zero without a sign; it stays a fraction."""
    return float(text) or 0.0
