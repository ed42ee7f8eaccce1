"""OPA's bundle signature: `.signatures.json` with one JWT that lists every file's digest.

Stricter than OPA: the key id must stand in the header and be the one we expect, the algorithm is
that of the key, and every file must be listed under SHA-256.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jiter
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from proxy.errors import PolicyInvalid
from proxy.pdp.delivery.hashing import ALGORITHM, hash_of

SIGNATURES = ".signatures.json"
MAX_SIGNATURES_BYTES = 1024 * 1024

_KEYID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_HEADER = frozenset({"alg", "kid", "typ"})
_KINDS = "Cure: use a P-256 (ES256) or an Ed25519 (EdDSA) key in PEM"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signature counts: one public key under one id, and the scope it signed for."""

    keyid: str
    pem: str = field(repr=False)
    algorithm: str = ""
    scope: str = ""


def trust(keyid: str, pem: bytes, scope: str = "") -> Trust:
    """Return the trust in a public key (PEM). Raises PolicyInvalid."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise PolicyInvalid(f"not a public key. {_KINDS}") from None
    return Trust(_checked(keyid), pem.decode(), _algorithm(key), scope)


def signed(files: Mapping[str, bytes], pem: bytes, keyid: str, scope: str = "") -> bytes:
    """Return `.signatures.json` for these files, by a private key (PEM, unencrypted).

    Raises PolicyInvalid.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PolicyInvalid(f"not a private key without a password. {_KINDS}") from None
    listed = [
        {"name": path, "hash": hash_of(path, files[path]), "algorithm": ALGORITHM}
        for path in sorted(files)
        if path != SIGNATURES
    ]
    claims = {"files": listed} | ({"scope": scope} if scope else {})
    header = {"kid": _checked(keyid)}
    token = jwt.PyJWS().encode(json.dumps(claims).encode(), pem, _algorithm(key), header)
    return json.dumps({"signatures": [token]}).encode()


def check_signature(files: Mapping[str, bytes], trusted: Trust) -> None:
    """Check that exactly these files were signed. Raises PolicyInvalid."""
    if SIGNATURES not in files:
        raise PolicyInvalid("the bundle is not signed. Cure: `detent policy sign`")
    claims = _claims(_token(files[SIGNATURES]), trusted)
    if claims.get("scope", "") != trusted.scope:
        raise PolicyInvalid("the bundle was signed for another scope. Cure: policy.verify.scope")
    listed = _listed(claims.get("files"))
    for path, content in files.items():
        if path != SIGNATURES and listed.pop(path, "") != hash_of(path, content):
            raise PolicyInvalid(f"{path}: not what was signed. Cure: build and sign again")
    if listed:
        raise PolicyInvalid(f"{min(listed)}: signed, but missing. Cure: build and sign again")


def _token(document: bytes) -> str:
    if len(document) > MAX_SIGNATURES_BYTES:
        raise PolicyInvalid(f"{SIGNATURES}: more than {MAX_SIGNATURES_BYTES} bytes")
    tokens = _object(document).get("signatures")
    if not isinstance(tokens, list) or len(tokens) != 1 or not isinstance(tokens[0], str):
        raise PolicyInvalid(f"{SIGNATURES}: not exactly one signature. Cure: sign again")
    return tokens[0]


def _claims(token: str, trusted: Trust) -> dict[str, Any]:
    jws = jwt.PyJWS()
    try:
        header = jws.get_unverified_header(token)
        _check_header(header, trusted)
        return _object(jws.decode(token, trusted.pem, algorithms=[trusted.algorithm]))
    except jwt.PyJWTError:
        raise PolicyInvalid(
            f"the signature is not by key {trusted.keyid}. Cure: sign with that key"
        ) from None


def _check_header(header: Mapping[str, Any], trusted: Trust) -> None:
    if not header.get("kid"):
        raise PolicyInvalid("the signature names no key. Cure: sign with --keyid")
    if header["kid"] != trusted.keyid:
        raise PolicyInvalid(f"the signature is by another key than {trusted.keyid}")
    if header.get("alg") != trusted.algorithm or not header.keys() <= _HEADER:
        raise PolicyInvalid(f"the signature's header is not that of an {trusted.algorithm} key")


def _listed(files: Any) -> dict[str, str]:
    listed: dict[str, str] = {}
    for entry in files if isinstance(files, list) else ():
        if not isinstance(entry, dict) or entry.get("algorithm") != ALGORITHM:
            raise PolicyInvalid(f"the signature has an entry without {ALGORITHM}")
        path = str(entry.get("name"))
        if path in listed:
            raise PolicyInvalid(f"{path}: signed twice")
        listed[path] = str(entry.get("hash")).lower()
    return listed


def _object(document: bytes) -> dict[str, Any]:
    try:
        value = jiter.from_json(document, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise PolicyInvalid(f"{SIGNATURES}: cannot be read. Cure: sign again")
    return value


def _checked(keyid: str) -> str:
    if not _KEYID.match(keyid):
        raise PolicyInvalid("a key id is 1 to 64 of A-Z a-z 0-9 . _ -")
    return keyid


def _algorithm(key: Any) -> str:
    if isinstance(key, Ed25519PublicKey | Ed25519PrivateKey):
        return "EdDSA"
    is_curve = isinstance(key, EllipticCurvePublicKey | EllipticCurvePrivateKey)
    if is_curve and isinstance(key.curve, SECP256R1):
        return "ES256"
    raise PolicyInvalid(f"a key of a kind that signs no bundles. {_KINDS}")
