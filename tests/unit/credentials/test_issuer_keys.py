from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from credentials import base64url
from credentials.issuer_keys import ALGORITHMS, find_public_key
from tests.harness.issuer import Issuer, public_jwk

ISSUER = Issuer()
JWKS = ISSUER.jwks()
ENTRIES = {entry["alg"]: entry for entry in JWKS["keys"]}
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - is refused
OTHER_CURVE = ec.generate_private_key(ec.SECP384R1())


def found(algorithm: str, **changes: Any) -> bool:
    """Whether the entry is still found after these changes; None takes a member out."""
    entry = {**ENTRIES[algorithm], **changes}
    entry = {name: value for name, value in entry.items() if value is not None}
    return find_public_key({"keys": [entry]}, algorithm, algorithm) is not None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_kind_of_key_is_found(algorithm: str) -> None:
    """Among those of the others."""
    key = find_public_key(JWKS, algorithm, algorithm)
    assert key == ISSUER.keys[algorithm].public_key()
    assert find_public_key(JWKS, "nobody", algorithm) is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("other", [*ALGORITHMS, "HS256", "none", "ES384"])
def test_a_key_verifies_its_own_algorithm_only(algorithm: str, other: str) -> None:
    """The token has no say in it (RFC 8725 section 3.1)."""
    assert (find_public_key(JWKS, algorithm, other) is not None) == (algorithm == other)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "changes",
    [
        {"kid": None},
        {"kid": 1},
        {"use": "enc"},
        {"alg": "ES512"},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"kty": "oct"},
        {"crv": "P-384"},
        {"d": "AA"},
        {"k": "AA"},
    ],
    ids=str,
)
def test_a_key_for_something_else_is_none(algorithm: str, changes: dict[str, Any]) -> None:
    """Another purpose, kind or curve, or a private part that everybody can see."""
    assert not found(algorithm, **changes)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "changes", [{}, {"use": None, "alg": None}, {"use": "jwt-svid"}, {"key_ops": ["verify"]}]
)
def test_what_a_key_need_not_say(algorithm: str, changes: dict[str, Any]) -> None:
    """Kubernetes, SPIFFE and OIDC providers differ in it."""
    assert found(algorithm, **changes)


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("ES256", {"x": None}),
    ("ES256", {"x": 7}),
    ("ES256", {"x": "AA"}),
    ("ES256", {"y": ENTRIES["ES256"]["x"]}),
    ("ES256", {"y": ENTRIES["ES256"]["y"] + "="}),
    ("RS256", {"n": None}),
    ("RS256", {"n": public_jwk("RS256", WEAK, "k")["n"]}),
    ("RS256", {"n": base64url.encode(b"\xff" * 2048)}),
    ("RS256", {"n": base64url.encode(b"\xff" * 255 + b"\xfe")}),
    ("RS256", {"e": "Aw"}),
    ("RS256", {"e": base64url.encode((65538).to_bytes(3, "big"))}),
    ("RS256", {"e": base64url.encode((2**32 + 1).to_bytes(5, "big"))}),
    ("EdDSA", {"x": "AA"}),
    ("EdDSA", {"x": None}),
]


@pytest.mark.parametrize(("algorithm", "changes"), BROKEN)
def test_a_weak_or_broken_key_is_none(algorithm: str, changes: dict[str, Any]) -> None:
    """Too short, off the curve, an exponent of three, not in its one spelling."""
    assert not found(algorithm, **changes)


def test_a_key_of_another_curve_is_none() -> None:
    """Even if it calls itself ES256."""
    entry = public_jwk("ES384", OTHER_CURVE, "k") | {"alg": "ES256"}
    assert find_public_key({"keys": [entry]}, "k", "ES256") is None


@pytest.mark.parametrize(
    "document",
    [{}, {"keys": None}, {"keys": {}}, {"keys": ["k"]}, {"keys": [ENTRIES["ES256"]] * 2}],
    ids=["empty", "null", "object", "text", "twice"],
)
def test_a_key_set_that_is_none_has_no_key(document: dict[str, Any]) -> None:
    """Two of one kid are as good as none."""
    assert find_public_key(document, "ES256", "ES256") is None
