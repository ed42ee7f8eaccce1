"""What a secret looks like in other clothes, and a text with its clothes taken off.

Canaries and live secrets are looked for through the same encodings: JSON escapes, percent and HTML
numeric escapes in layers, both base64 alphabets at every alignment, hex.
"""

import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

LAYERS = 4

# Both base64 alphabets become one; white space, controls and everything beyond ASCII disappear,
# and with them line wrapping and invisible characters inside a secret.
_ONE_ALPHABET = bytes.maketrans(b"-_", b"+/")
_NOISE = bytes((*range(0x21), *range(0x7F, 0x100)))

# RFC 8259 section 7; control characters are noise here.
_ESCAPES = {ord('"'): b'"', ord("/"): b"/"} | dict.fromkeys(b"bfnrt", b" ")
_UNICODE = re.compile(rb"u[0-9A-Fa-f]{4}")
_ENTITY = re.compile(rb"&#(?:([0-9]{1,7})|[xX]([0-9A-Fa-f]{1,6}));?")
_MAX_ASCII = 0x7F


def normal(text: bytes) -> str:
    """Return the ASCII of a text in one base64 alphabet, without white space and controls."""
    return text.translate(_ONE_ALPHABET, _NOISE).decode("ascii")


def base64_forms(raw: bytes) -> tuple[str, str, str]:
    """Return, for each alignment, the base64 characters no neighbour can change (RFC 4648)."""
    aligned = (binascii.b2a_base64(b"\0\0"[:shift] + raw).decode() for shift in range(3))
    first, second, third = aligned
    bits = len(raw) * 8
    return first[: bits // 6], second[2 : (bits + 8) // 6], third[3 : (bits + 16) // 6]


def layers(text: bytes) -> Iterator[bytes]:
    """Yield the text without its JSON escapes, then with layer after layer of encoding removed."""
    text = _unescaped(text)
    yield text
    for _ in range(LAYERS):
        before = text
        for decode in (unquote_to_bytes, _unescaped, _without_entities):
            plainer = decode(text)
            if plainer != text:
                text = plainer
                yield text
        if text == before:
            return


def _unescaped(text: bytes) -> bytes:
    """Resolve JSON escapes; what is no escape stays, what is not ASCII is dropped."""
    head, *tails = text.split(b"\\")
    resolved = [head]
    following = iter(tails)
    for tail in following:
        if not tail:  # an escaped backslash; what comes after the second one is plain
            resolved += (b"\\", next(following, b""))
        elif (plain := _ESCAPES.get(tail[0])) is not None:
            resolved += (plain, tail[1:])
        elif _UNICODE.match(tail):
            resolved += (_ascii(int(tail[1:5], 16)), tail[5:])
        else:
            resolved += (b"\\", tail)
    return b"".join(resolved)


def _without_entities(text: bytes) -> bytes:
    """Resolve HTML's numeric character references; what is not ASCII is dropped."""
    if b"&#" not in text:
        return text
    return _ENTITY.sub(_character, text)


def _character(entity: re.Match[bytes]) -> bytes:
    return _ascii(int(entity[1]) if entity[1] else int(entity[2], 16))


def _ascii(code_point: int) -> bytes:
    return bytes((code_point,)) if code_point <= _MAX_ASCII else b""
