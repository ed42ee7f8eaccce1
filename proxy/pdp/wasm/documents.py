"""JSON documents as the module reads them rightly.

OPA's WebAssembly code reads the escape of a character beyond the first two planes as another
character, keeps a negative zero apart from zero, a number with an exponent apart from the same one
without, and takes what follows a document for nothing. So in a document with any of these they are
written in another way before it is given to a module; all else stays as it is, to the last digit.
"""

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

_BEFORE, _AFTER = b'{"input":', b"}"
# An escaped surrogate, and what may be a negative zero or an exponent; of what is none, no harm.
_ESCAPES = (b"\\ud", b"\\uD")
_NUMBER = re.compile(rb"[:,\[\s](?:-0|-?[0-9.]+[eE])")
_NAME = re.compile(r'\s*\{\s*"input"\s*:')
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.]*(?:[eE][+-]?[0-9]+)?')
_MOST_EXPONENT_LETTERS = 4  # a number has no more than a thousand digits then
# Ends a number that had an exponent. A policy that writes such a number into a text is stopped:
# OPA would write it as it was.
REWRITTEN = "00"


class NotADocument(ValueError):
    """The body is not `{"input": …}`."""


def input_of(body: bytes) -> bytes:
    """Return the document of a body `{"input": …}`, safe to read. Raises NotADocument.

    The gateway writes its bodies itself and without blanks, so the usual one is cut out, not
    parsed.
    """
    if not body.startswith(_BEFORE) or _is_doubtful(body):
        return _parsed(body)
    return body[len(_BEFORE) : -len(_AFTER)]


def rewritten(document: bytes) -> bytes:
    """Return any JSON document as the module reads it rightly. Raises ValueError."""
    text = document.decode()
    _read(text)
    return _mended(text)


def _is_doubtful(body: bytes) -> bool:
    return any(mark in body for mark in _ESCAPES) or _NUMBER.search(body) is not None


def _parsed(body: bytes) -> bytes:
    try:
        text = body.decode()
        document = _read(text)
    except ValueError:
        raise NotADocument("the body is not JSON") from None
    name = _NAME.match(text)
    if name is None or document.keys() != {"input"}:
        raise NotADocument("the body has not exactly the member input")
    try:
        return _mended(text[name.end() : text.rindex("}")])
    except UnicodeEncodeError:
        raise NotADocument("the body has half of a character") from None


def _read(text: str) -> Any:
    """Parse a document. Raises ValueError, also of a member that is there twice."""
    try:
        return json.loads(text, object_pairs_hook=_members, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is too deep") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is there twice")
    return members


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _mended(text: str) -> bytes:
    """Return a JSON text with characters for escapes and plain numbers. Raises ValueError."""
    return _TOKEN.sub(_plain, text).strip().encode()


def _plain(match: re.Match[str]) -> str:
    token = match[0]
    if token.startswith('"'):
        return json.dumps(json.loads(token), ensure_ascii=False) if "\\u" in token else token
    mantissa, _, exponent = token.replace("E", "e").partition("e")
    if not mantissa.strip("-0."):
        return mantissa.removeprefix("-")
    return _without_exponent(token, exponent) if exponent else token


def _without_exponent(number: str, exponent: str) -> str:
    if len(exponent) > _MOST_EXPONENT_LETTERS:
        raise NotADocument("the body has a number beyond all bounds")
    written = f"{Decimal(number):f}"
    return written + ("" if "." in written else ".") + REWRITTEN
