import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from proxy.errors import PolicyInvalid
from proxy.pdp.delivery.hashing import hash_of
from proxy.pdp.delivery.signature import (
    MAX_SIGNATURES_BYTES,
    SIGNATURES,
    check_signature,
    signed,
    trust,
)
from tests.harness.signing import BundleKey

FILES = {"main.rego": b"package x", "a/data.json": b'{"n": 1}'}
LISTED = [
    {"name": path, "hash": hash_of(path, content), "algorithm": "SHA-256"}
    for path, content in FILES.items()
]


def by(key: BundleKey, claims: Any, header: Mapping[str, Any], algorithm: str = "ES256") -> Any:
    """Return the files with a signature of any shape."""
    payload = json.dumps(claims).encode()
    secret = key.private if algorithm == "ES256" else b"s" * 32
    token = jwt.PyJWS().encode(payload, secret, algorithm, dict(header))
    return FILES | {SIGNATURES: json.dumps({"signatures": [token]}).encode()}


@pytest.mark.parametrize("kind", ["ES256", "EdDSA"])
@pytest.mark.parametrize("scope", ["", "production"])
def test_what_is_signed_is_verified(kind: str, scope: str) -> None:
    """By both kinds of keys, with and without a scope."""
    key = BundleKey.make(kind)
    signature = signed(FILES, key.private, key.keyid, scope)
    check_signature(FILES | {SIGNATURES: signature}, trust(key.keyid, key.public, scope))


@pytest.mark.parametrize(
    "files",
    [
        FILES | {"main.rego": b"package y"},
        FILES | {"more.rego": b"package z"},
        {"main.rego": FILES["main.rego"]},
        {**FILES, "b/data.json": FILES["a/data.json"]},
    ],
    ids=["changed", "more", "fewer", "another"],
)
def test_other_files_than_those_signed_are_refused(key: BundleKey, files: dict[str, bytes]) -> None:
    """One changed, one more, one fewer."""
    signature = signed(FILES, key.private, key.keyid)
    with pytest.raises(PolicyInvalid):
        check_signature(files | {SIGNATURES: signature}, key.trust)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({}, "names no key"),
        ({"kid": ""}, "names no key"),
        ({"kid": "other"}, "another key"),
        ({"kid": "acme-2026", "jku": "https://evil"}, "header"),
        ({"kid": "acme-2026", "crit": ["exp"], "exp": 1}, "acme-2026"),
    ],
)
def test_the_header_names_our_key_and_nothing_else(
    key: BundleKey, header: dict[str, Any], told: str
) -> None:
    """OPA would take a signature without a key id."""
    with pytest.raises(PolicyInvalid, match=told):
        check_signature(by(key, {"files": LISTED}, header), key.trust)


@pytest.mark.parametrize("algorithm", ["HS256", "none"])
def test_the_algorithm_is_that_of_the_key(key: BundleKey, algorithm: str) -> None:
    """A public key is no secret to sign with, and no algorithm signs nothing."""
    token = by(key, {"files": LISTED}, {"kid": key.keyid}, "HS256")[SIGNATURES]
    if algorithm == "none":
        unsigned = jwt.PyJWS().encode(b"{}", "", "none", {"kid": key.keyid})
        token = json.dumps({"signatures": [unsigned]}).encode()
    with pytest.raises(PolicyInvalid):
        check_signature(FILES | {SIGNATURES: token}, key.trust)


def test_a_signature_by_another_key_of_that_name_is_refused(key: BundleKey) -> None:
    """A key id proves nothing."""
    other = BundleKey.make()
    signature = signed(FILES, other.private, other.keyid)
    with pytest.raises(PolicyInvalid, match="not by key acme-2026"):
        check_signature(FILES | {SIGNATURES: signature}, key.trust)


@pytest.mark.parametrize("scope", ["", "staging"])
def test_a_signature_for_another_scope_is_refused(key: BundleKey, scope: str) -> None:
    """What was signed for tests does not reach production."""
    signature = signed(FILES, key.private, key.keyid, scope)
    with pytest.raises(PolicyInvalid, match="scope"):
        check_signature(FILES | {SIGNATURES: signature}, trust(key.keyid, key.public, "production"))


@pytest.mark.parametrize(
    "claims",
    [
        [],
        {},
        {"files": "all"},
        {"files": [*LISTED, LISTED[0]]},
        {"files": [{**LISTED[0], "algorithm": "MD5"}, LISTED[1]]},
        {"files": [LISTED[0], "a/data.json"]},
    ],
)
def test_every_file_is_listed_once_by_sha_256(key: BundleKey, claims: Any) -> None:
    """A list of any other shape is refused."""
    with pytest.raises(PolicyInvalid):
        check_signature(by(key, claims, {"kid": key.keyid}), key.trust)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"signatures":[]}',
        b'{"signatures":["a","b"]}',
        b'{"signatures":[1]}',
        b'{"signatures":["x"]}',
        b'{"signatures":["a"],"signatures":["b"]}',
        b" " * (MAX_SIGNATURES_BYTES + 1),
    ],
)
def test_what_is_no_signature_is_refused(key: BundleKey, document: bytes) -> None:
    """Broken, none, several, huge."""
    with pytest.raises(PolicyInvalid):
        check_signature(FILES | {SIGNATURES: document}, key.trust)


def test_an_unsigned_bundle_is_refused(key: BundleKey) -> None:
    """With the cure."""
    with pytest.raises(PolicyInvalid, match="detent policy sign"):
        check_signature(FILES, key.trust)


@pytest.mark.parametrize("keyid", ["", "a b", "x" * 65, "a\n"])
def test_a_key_has_a_plain_name(key: BundleKey, keyid: str) -> None:
    """To sign and to verify."""
    with pytest.raises(PolicyInvalid, match="key id"):
        trust(keyid, key.public)
    with pytest.raises(PolicyInvalid, match="key id"):
        signed(FILES, key.private, keyid)


def test_other_keys_are_refused(key: BundleKey) -> None:
    """RSA, another curve, a private key to verify with, a public one to sign, a password."""
    curve = ec.generate_private_key(ec.SECP384R1())
    pkcs8, spki = PrivateFormat.PKCS8, PublicFormat.SubjectPublicKeyInfo
    other = rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, spki)
    for pem in (other, curve.public_key().public_bytes(Encoding.PEM, spki), key.private, b"x"):
        with pytest.raises(PolicyInvalid, match="Cure"):
            trust("k", pem)
    plain = curve.private_bytes(Encoding.PEM, pkcs8, NoEncryption())
    locked = curve.private_bytes(Encoding.PEM, pkcs8, BestAvailableEncryption(b"word"))
    for pem in (plain, locked, key.public, b"x"):
        with pytest.raises(PolicyInvalid, match="Cure"):
            signed(FILES, pem, "k")
