"""base64url without padding, in its one canonical spelling (RFC 4648 section 5, RFC 7515).

Lenient decoders accept several spellings of the same bytes, and so several tokens with one
signature; here every byte string has exactly one.
"""

import base64
import re

_ALPHABET = re.compile(r"[A-Za-z0-9_-]+")


def encode(data: bytes) -> str:
    """Encode without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Decode the canonical spelling of one or more bytes. Raises ValueError on any other."""
    if not _ALPHABET.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not the canonical base64url")
    return data
