"""Tokens of other issuers, with which agents say who they are: OIDC, Kubernetes, SPIFFE JWT-SVID.

A signed JWT (RFC 7519) as an OAuth access token (RFC 9068, RFC 8725), checked strictly: algorithms
are an allow-list, the audience is exactly ours, nothing in the token says how to verify it. What
is bound to a key (`cnf`: DPoP, mTLS) is refused, because its proof is not checked here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt

from credentials import base64url
from credentials.compact import MAX_TOKEN_BYTES, PARTS, json_object
from credentials.issuer_keys import ALGORITHMS, PublicKey

MAX_LEEWAY_S = 30
MAX_KID_CHARS = 256
MAX_TIME_S = 2**53
NO_TYPE = ""

# Beside these a header brings its own key (jwk, jku, x5u, x5c) or asks for more than a reader knows
# (crit, b64, zip, enc). A certificate's thumbprint says nothing that is believed.
_HEADER_MEMBERS = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
_VERIFY = {name: jwt.get_algorithm_by_name(name) for name in ALGORITHMS}
_TIMES = ("exp", "nbf", "iat")


class TokenRefused(Exception):
    """A token that is not to be honoured. `code` is kebab-case; the text holds nothing of it."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the token is refused: {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """Whom to believe, and what its tokens must be.

    `audiences` are our own names, `types` the values of `typ` (NO_TYPE for none at all).
    `leeway_s` (0 to 30) forgives clocks that disagree; a token that lives longer than
    `max_lifetime_s` from now is refused, however it is signed.
    """

    issuer: str
    audiences: frozenset[str]
    algorithms: frozenset[str] = frozenset(ALGORITHMS)
    types: frozenset[str] = frozenset({"at+jwt"})
    leeway_s: float = 5.0
    max_lifetime_s: float = 86_400.0

    def __post_init__(self) -> None:
        if not 0 <= self.leeway_s <= MAX_LEEWAY_S:
            raise ValueError(f"leeway_s must be 0 to {MAX_LEEWAY_S}")
        if not self.issuer or not self.audiences or not self.algorithms <= set(ALGORITHMS):
            raise ValueError("issuer, audiences and known algorithms must be given")


@dataclass(frozen=True, slots=True)
class AgentToken:
    """A token taken apart, of which nothing is to be believed yet.

    `signed` is what `signature` must be over (RFC 7515 section 5.2).
    """

    algorithm: str
    kid: str
    type: str
    claims: Mapping[str, Any]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def parse_agent_token(token: str) -> AgentToken:
    """Take a token apart strictly, before its signature is looked at.

    Raises TokenRefused: too-large, malformed (parts, base64url, JSON, a member given twice),
    header-refused, algorithm-refused, type-refused, unknown-key.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRefused("too-large")
    parts = token.split(".")
    if len(parts) != PARTS:
        raise TokenRefused("malformed")
    try:
        header, claims = json_object(parts[0]), json_object(parts[1])
        signature = base64url.decode(parts[2])
    except ValueError:
        raise TokenRefused("malformed") from None
    if not header.keys() <= _HEADER_MEMBERS:
        raise TokenRefused("header-refused")
    return AgentToken(
        algorithm=_algorithm(header),
        kid=_kid(header),
        type=_type(header),
        claims=claims,
        signed=f"{parts[0]}.{parts[1]}".encode("ascii"),
        signature=signature,
    )


def issuer_of(token: AgentToken) -> str:
    """Return whom the token says it is from; not believed before `verify`."""
    issuer = token.claims.get("iss")
    return issuer if isinstance(issuer, str) else ""


def verify(
    token: AgentToken, rules: TrustedIssuer, key: PublicKey | None, now_s: float
) -> Mapping[str, Any]:
    """Return the claims of a valid token; `key` is the issuer's for this kid and algorithm.

    `now_s` in Unix seconds. Raises TokenRefused: algorithm-refused, type-refused, wrong-issuer,
    unknown-key, bad-signature, proof-required, wrong-audience, claim-invalid, lifetime-refused,
    not-yet-valid, expired.
    """
    if token.algorithm not in rules.algorithms:
        raise TokenRefused("algorithm-refused")
    if token.type not in rules.types:
        raise TokenRefused("type-refused")
    if token.claims.get("iss") != rules.issuer:
        raise TokenRefused("wrong-issuer")
    if key is None:
        raise TokenRefused("unknown-key")
    if not _VERIFY[token.algorithm].verify(token.signed, key, token.signature):
        raise TokenRefused("bad-signature")
    if "cnf" in token.claims:
        raise TokenRefused("proof-required")
    if _audience(token.claims) not in rules.audiences:
        raise TokenRefused("wrong-audience")
    _check_times(token.claims, rules, now_s)
    return token.claims


def _algorithm(header: Mapping[str, Any]) -> str:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefused("algorithm-refused")
    return algorithm


def _kid(header: Mapping[str, Any]) -> str:
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS:
        raise TokenRefused("unknown-key")
    return kid


def _type(header: Mapping[str, Any]) -> str:
    """Return the type in its short form, lower case (RFC 7515 section 4.1.9)."""
    given = header.get("typ", NO_TYPE)
    if not isinstance(given, str):
        raise TokenRefused("type-refused")
    return given.lower().removeprefix("application/")


def _audience(claims: Mapping[str, Any]) -> str | None:
    """Return the one audience: a string, or a list of one, as Kubernetes and SPIFFE write it."""
    given = claims.get("aud")
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    return given if isinstance(given, str) else None


def _check_times(claims: Mapping[str, Any], rules: TrustedIssuer, now_s: float) -> None:
    given = {name: claims[name] for name in _TIMES if name in claims}
    if "exp" not in given or not all(_is_time(at) for at in given.values()):
        raise TokenRefused("claim-invalid")
    if given["exp"] + rules.leeway_s <= now_s:
        raise TokenRefused("expired")
    if given["exp"] - now_s > rules.max_lifetime_s + rules.leeway_s:
        raise TokenRefused("lifetime-refused")
    if max(given.get("nbf", 0), given.get("iat", 0)) > now_s + rules.leeway_s:
        raise TokenRefused("not-yet-valid")


def _is_time(value: object) -> bool:
    """Whether this is a NumericDate (RFC 7519 section 2), and one that can be reckoned with."""
    if isinstance(value, bool) or not isinstance(value, int | float):  # true is an int in Python
        return False
    return abs(value) <= MAX_TIME_S
