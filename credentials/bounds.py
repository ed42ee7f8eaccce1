"""The bounds of every grant: what no broker ever lends, whatever the policy decided."""

import re

from credentials.base import GrantRefused

MAX_TTL_S = 60
MAX_SCOPES = 32
MAX_TEXT_CHARS = 512
WILDCARD = "*"

# RFC 6749 section 3.3, scope-token; fullmatch, because `$` would let a newline through.
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_ttl(ttl_s: int) -> None:
    """Refuse all but 1 to 60 whole seconds. Raises GrantRefused."""
    if type(ttl_s) is not int or not 1 <= ttl_s <= MAX_TTL_S:
        raise GrantRefused(f"the lifetime must be 1 to {MAX_TTL_S} whole seconds")


def check_epoch(epoch: int) -> None:
    """Refuse all but whole numbers from 0. Raises GrantRefused."""
    if type(epoch) is not int or epoch < 0:
        raise GrantRefused("the epoch must be a whole number, 0 or more")


def check_text(name: str, text: str) -> None:
    """Refuse all but 1 to 512 printable characters: no control, bidi or zero-width ones.

    Raises GrantRefused, which names the field and never repeats its content.
    """
    if not text or len(text) > MAX_TEXT_CHARS or not text.isprintable():
        raise GrantRefused(f"{name} must be 1 to {MAX_TEXT_CHARS} printable characters")


def check_audience(audience: str) -> None:
    """Refuse all but one exact resource: no wildcard, no space. Raises GrantRefused."""
    check_text("audience", audience)
    if WILDCARD in audience or " " in audience:
        raise GrantRefused("the audience must name one resource, without wildcard or space")


def check_scope(scope: tuple[str, ...]) -> None:
    """Refuse all but 1 to 32 different scope tokens (RFC 6749 section 3.3) without wildcard.

    Raises GrantRefused.
    """
    if not 1 <= len(scope) <= MAX_SCOPES:
        raise GrantRefused(f"the scope must hold 1 to {MAX_SCOPES} entries")
    if len(set(scope)) != len(scope):
        raise GrantRefused("the scope names an entry twice")
    if not all(_SCOPE_TOKEN.fullmatch(entry) and WILDCARD not in entry for entry in scope):
        raise GrantRefused("a scope entry must be a plain scope token without wildcard")


def check_sha256(name: str, digest: str) -> None:
    """Refuse all but 64 lower-case hexadecimal digits. Raises GrantRefused."""
    if not _SHA256.fullmatch(digest):
        raise GrantRefused(f"{name} must be a SHA-256 in lower-case hexadecimal")
