"""P-256 public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6.2), named by thumbprint."""

import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from credentials import base64url

CURVE = "P-256"
_COORDINATE_BYTES = 32
# What a key that verifies call tokens must say of itself.
_EXPECTED = {"kty": "EC", "crv": CURVE, "alg": "ES256", "use": "sig"}


def thumbprint(key: ec.EllipticCurvePublicKey) -> str:
    """Name a key by its RFC 7638 SHA-256 thumbprint, base64url: its `kid`."""
    x, y = _coordinates(key)
    # RFC 7638 section 3.2: required members only, in this order, without whitespace.
    canonical = f'{{"crv":"{CURVE}","kty":"EC","x":"{x}","y":"{y}"}}'
    return base64url.encode(hashlib.sha256(canonical.encode("ascii")).digest())


def public_jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Write a key as a JWK, public members only."""
    x, y = _coordinates(key)
    return {**_EXPECTED, "kid": thumbprint(key), "x": x, "y": y}


def find_key(document: Mapping[str, Any], kid: str) -> ec.EllipticCurvePublicKey | None:
    """Find the one P-256 signature key of a JWKS that has exactly this `kid`.

    None when there is none, more than one, or one that is not usable: another curve or purpose,
    a point off the curve, or a document that shows the private part.
    """
    entries = document.get("keys")
    if not isinstance(entries, list):
        return None
    named = [entry for entry in entries if isinstance(entry, dict) and entry.get("kid") == kid]
    if len(named) != 1 or "d" in named[0]:
        return None
    entry = named[0]
    if any(entry.get(member) != value for member, value in _EXPECTED.items()):
        return None
    return _public_key(entry.get("x"), entry.get("y"))


def _public_key(x: object, y: object) -> ec.EllipticCurvePublicKey | None:
    if not isinstance(x, str) or not isinstance(y, str):
        return None
    try:
        point = base64url.decode(x), base64url.decode(y)
        if any(len(coordinate) != _COORDINATE_BYTES for coordinate in point):
            return None
        return ec.EllipticCurvePublicNumbers(
            int.from_bytes(point[0], "big"), int.from_bytes(point[1], "big"), ec.SECP256R1()
        ).public_key()
    except ValueError:
        return None


def _coordinates(key: ec.EllipticCurvePublicKey) -> tuple[str, str]:
    numbers = key.public_numbers()
    return (
        base64url.encode(numbers.x.to_bytes(_COORDINATE_BYTES, "big")),
        base64url.encode(numbers.y.to_bytes(_COORDINATE_BYTES, "big")),
    )
