"""Public keys of other issuers: the one key of a JWKS (RFC 7517) that fits kid and algorithm.

Three algorithms, each with one kind of key: ES256 (P-256), RS256 (2048 to 8192 bits) and EdDSA
(Ed25519, RFC 8037). RFC 8725 section 3.1: the key decides how it is used, not the token.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from credentials import base64url

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MIN_EXPONENT, MAX_EXPONENT = 65537, 2**32

_P256_BYTES = 32
_KINDS = {"ES256": ("EC", "P-256"), "RS256": ("RSA", None), "EdDSA": ("OKP", "Ed25519")}
ALGORITHMS = tuple(_KINDS)
# `jwt-svid` is what SPIFFE trust bundles say of the same keys.
_USES = (None, "sig", "jwt-svid")
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def find_public_key(document: Mapping[str, Any], kid: str, algorithm: str) -> PublicKey | None:
    """Find the one key of a JWKS with exactly this `kid` that verifies this algorithm.

    None when there is none, more than one, or one that is not usable: another kind, purpose or
    algorithm, a weak or broken key, or a document that shows the private part.
    """
    entries = document.get("keys")
    if not isinstance(entries, list) or algorithm not in _KINDS:
        return None
    named = [entry for entry in entries if isinstance(entry, dict) and entry.get("kid") == kid]
    if len(named) != 1 or not _fits(named[0], algorithm):
        return None
    try:
        return _READ[algorithm](named[0])
    except ValueError:
        return None


def _fits(entry: Mapping[str, Any], algorithm: str) -> bool:
    kind, curve = _KINDS[algorithm]
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("kty") == kind
        and entry.get("crv") == curve
        and entry.get("alg", algorithm) == algorithm
        and entry.get("use") in _USES
        and isinstance(operations, list)
        and "verify" in operations
        and _PRIVATE.isdisjoint(entry)
    )


def _octets(entry: Mapping[str, Any], member: str) -> bytes:
    value = entry.get(member)
    if not isinstance(value, str):
        raise ValueError(member)  # noqa: TRY004 - what came is a value, not a type
    return base64url.decode(value)


def _number(entry: Mapping[str, Any], member: str) -> int:
    return int.from_bytes(_octets(entry, member), "big")


def _p256(entry: Mapping[str, Any]) -> PublicKey:
    if any(len(_octets(entry, axis)) != _P256_BYTES for axis in ("x", "y")):
        raise ValueError("coordinates")
    point = _number(entry, "x"), _number(entry, "y")
    return ec.EllipticCurvePublicNumbers(*point, ec.SECP256R1()).public_key()


def _rsa(entry: Mapping[str, Any]) -> PublicKey:
    modulus, exponent = _number(entry, "n"), _number(entry, "e")
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or modulus % 2 == 0:
        raise ValueError("modulus")
    if not MIN_EXPONENT <= exponent < MAX_EXPONENT or exponent % 2 == 0:
        raise ValueError("exponent")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _ed25519(entry: Mapping[str, Any]) -> PublicKey:
    return ed25519.Ed25519PublicKey.from_public_bytes(_octets(entry, "x"))


_READ: dict[str, Callable[[Mapping[str, Any]], PublicKey]] = {
    "ES256": _p256,
    "RS256": _rsa,
    "EdDSA": _ed25519,
}
