import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from credentials import base64url
from credentials.jwks import find_key, public_jwk, thumbprint

KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
JWK = public_jwk(KEY)
OTHER = public_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    """SHA-256 over the required members in lexicographic order, base64url without padding."""
    required = {name: JWK[name] for name in ("crv", "kty", "x", "y")}
    document = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(document).digest()).rstrip(b"=").decode()
    assert thumbprint(KEY) == digest == JWK["kid"]


def test_a_jwk_shows_public_members_only() -> None:
    """Type, curve, point, purpose and name; no `d`."""
    assert JWK.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (JWK["use"], JWK["alg"]) == ("sig", "ES256")


def test_a_key_is_found_by_its_exact_name() -> None:
    """The key comes back as the point it was."""
    found = find_key({"keys": [OTHER, "noise", JWK]}, JWK["kid"])
    assert found is not None
    assert found.public_numbers() == KEY.public_numbers()


def test_coordinates_keep_their_leading_zeros() -> None:
    """A coordinate below 2^248 is still 32 bytes long (RFC 7518 section 6.2.1.2)."""
    for scalar in range(1, 2000):
        small = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
        if small.public_numbers().x < 1 << 248:
            break
    jwk = public_jwk(small)
    assert len(jwk["x"]) == 43
    assert find_key({"keys": [jwk]}, jwk["kid"]) is not None


@pytest.mark.parametrize(
    "keys",
    [
        None,
        [],
        [OTHER],
        [JWK, JWK],
        [JWK | {"d": "AA"}],
        [JWK | {"alg": "HS256"}],
        [JWK | {"use": "enc"}],
        [JWK | {"kty": "oct"}],
        [JWK | {"crv": "P-384"}],
        [JWK | {"x": 1}],
        [JWK | {"y": None}],
        [JWK | {"x": "AA"}],
        [JWK | {"x": base64url.encode(b"\0" + base64url.decode(JWK["x"]))}],
        [JWK | {"x": "not base64"}],
        [JWK | {"x": OTHER["x"]}],
    ],
)
def test_no_key_comes_of_a_set_that_is_not_in_order(keys: object) -> None:
    """Missing, doubled, private, other kinds, and points that are not on the curve."""
    assert find_key({"keys": keys}, JWK["kid"]) is None
