"""Prefixed 256-bit bearer tokens, and ids. A token of any other form is refused unseen."""

import hashlib
import os
import re
import secrets
from binascii import b2a_base64
from enum import StrEnum

_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FORM = re.compile(r"\A(dta|dto|dts|dtx)_[A-Za-z0-9_-]{43}\Z")


class TokenKind(StrEnum):
    """Whose token it is; the value is its prefix."""

    AGENT = "dta"
    OPERATOR = "dto"
    SESSION = "dts"
    SIDECAR = "dtx"


_KINDS = {kind.value: kind for kind in TokenKind}


def new_token(kind: TokenKind) -> str:
    """Make a token from 32 random bytes, base64url without padding (RFC 4648 section 5)."""
    return f"{kind.value}_{secrets.token_urlsafe(32)}"


def kind_of_token(token: str) -> TokenKind | None:
    """Return the kind of a well-formed token, None for anything else."""
    match = _FORM.match(token)
    return _KINDS[match[1]] if match else None


def token_sha256(token: str) -> str:
    """Hex SHA-256, the only form in which a token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_id(prefix: str) -> str:
    """Make an id no one can guess: `prefix_` and 120 random bits."""
    return f"{prefix}_{b2a_base64(os.urandom(15), newline=False).translate(_URL_SAFE).decode()}"
