"""The form of a call token: what the broker signs and a resource server parses.

A signed JWT in compact form (RFC 7519, RFC 7515 section 7.1) under the access-token profile
(RFC 9068), narrowed: one algorithm, three header parameters, one spelling.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from credentials import base64url
from credentials.compact import MAX_TOKEN_BYTES, PARTS, json_object

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of RFC 9068, no secret
DETAIL_TYPE = "detent_tool_call"
MAX_LIFETIME_S = 60
_HEADER_MEMBERS = frozenset({"alg", "typ", "kid"})


class InvalidToken(Exception):
    """A call token that is not to be honoured.

    `code` is kebab-case and stable; the text never holds anything of the token. Answer 401 with
    `WWW-Authenticate: Bearer error="invalid_token"` (RFC 6750 section 3.1) and keep the code for
    your log.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"the call token is refused: {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """A token taken apart, of which nothing is to be believed yet.

    `signed` is what `signature` must be over (RFC 7515 section 5.2).
    """

    kid: str
    claims: Mapping[str, Any]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse(token: str) -> ParsedToken:
    """Take a token apart strictly, before its signature is looked at.

    Raises InvalidToken: too-large, malformed (parts, base64url, JSON, a member given twice),
    algorithm-refused, header-refused (any parameter beside alg, typ and kid, so that a token can
    neither bring its own key nor ask for extensions), type-refused, unknown-key.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise InvalidToken("too-large")
    parts = token.split(".")
    if len(parts) != PARTS:
        raise InvalidToken("malformed")
    return ParsedToken(
        kid=_checked_kid(_json_object(parts[0])),
        claims=_json_object(parts[1]),
        signed=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=_octets(parts[2]),
    )


def _checked_kid(header: dict[str, Any]) -> str:
    if header.get("alg") != ALGORITHM:
        raise InvalidToken("algorithm-refused")
    if not header.keys() <= _HEADER_MEMBERS:
        raise InvalidToken("header-refused")
    if header.get("typ") != TOKEN_TYPE:
        raise InvalidToken("type-refused")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise InvalidToken("unknown-key")
    return kid


def _json_object(part: str) -> dict[str, Any]:
    try:
        return json_object(part)
    except ValueError:
        raise InvalidToken("malformed") from None


def _octets(part: str) -> bytes:
    try:
        return base64url.decode(part)
    except ValueError:
        raise InvalidToken("malformed") from None
