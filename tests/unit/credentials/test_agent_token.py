import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest

from credentials import base64url
from credentials.agent_token import (
    NO_TYPE,
    TokenRefused,
    TrustedIssuer,
    issuer_of,
    parse_agent_token,
    verify,
)
from credentials.compact import MAX_TOKEN_BYTES
from credentials.issuer_keys import ALGORITHMS, find_public_key
from tests.harness.issuer import AUDIENCE, SUBJECT, Issuer, public_pem

NOW = 1_800_000_000
ISSUER = Issuer(clock=lambda: NOW)
RULES = TrustedIssuer(ISSUER.name, frozenset({AUDIENCE}))


def verified(token: str, rules: TrustedIssuer = RULES, now_s: float = NOW) -> Mapping[str, Any]:
    """Verify as the gateway does: the key is looked for by what the header says."""
    parsed = parse_agent_token(token)
    key = find_public_key(ISSUER.jwks(), parsed.kid, parsed.algorithm)
    return verify(parsed, rules, key, now_s)


def refusal(token: str, rules: TrustedIssuer = RULES, now_s: float = NOW) -> str:
    with pytest.raises(TokenRefused) as refused:
        verified(token, rules, now_s)
    assert str(refused.value) == f"the token is refused: {refused.value.code}"
    return refused.value.code


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_says_who_it_is(algorithm: str) -> None:
    """Each algorithm, with its own key."""
    token = ISSUER.token(algorithm)
    assert verified(token)["sub"] == SUBJECT
    assert issuer_of(parse_agent_token(token)) == ISSUER.name


def test_forms_of_other_issuers_are_read_when_they_are_allowed() -> None:
    """No type and a list of one audience: Kubernetes; the long form of a type: RFC 9068."""
    rules = TrustedIssuer(ISSUER.name, frozenset({AUDIENCE}), types=frozenset({NO_TYPE, "jwt"}))
    for header in ({"typ": None}, {"typ": "JWT"}, {"typ": "application/jwt"}):
        assert verified(ISSUER.token(header=header, aud=[AUDIENCE]), rules)
    assert verified(ISSUER.token(header={"typ": "application/at+jwt"}))
    assert verified(ISSUER.token(header={"x5t": "AA", "x5t#S256": "AA"}))


HEADERS: list[tuple[dict[str, Any], str]] = [
    ({"alg": "none"}, "algorithm-refused"),
    ({"alg": "HS256"}, "algorithm-refused"),
    ({"alg": "ES384"}, "algorithm-refused"),
    ({"alg": None}, "algorithm-refused"),
    ({"alg": ["ES256"]}, "algorithm-refused"),
    ({"alg": "RS256"}, "unknown-key"),
    ({"alg": "RS256", "kid": "RS256"}, "bad-signature"),
    ({"kid": None}, "unknown-key"),
    ({"kid": ""}, "unknown-key"),
    ({"kid": 1}, "unknown-key"),
    ({"kid": "../../etc/passwd"}, "unknown-key"),
    ({"kid": "k" * 300}, "unknown-key"),
    ({"kid": "RS256"}, "unknown-key"),
    ({"jwk": ISSUER.jwks()["keys"][0]}, "header-refused"),
    ({"jku": "https://evil.example/jwks"}, "header-refused"),
    ({"x5u": "https://evil.example/cert"}, "header-refused"),
    ({"x5c": ["AA"]}, "header-refused"),
    ({"crit": ["exp"]}, "header-refused"),
    ({"b64": False}, "header-refused"),
    ({"zip": "DEF"}, "header-refused"),
    ({"typ": "JWT"}, "type-refused"),
    ({"typ": None}, "type-refused"),
    ({"typ": 1}, "type-refused"),
    ({"typ": "at+jwt+x"}, "type-refused"),
]


@pytest.mark.parametrize(("header", "code"), HEADERS)
def test_a_header_of_another_kind_is_refused(header: dict[str, Any], code: str) -> None:
    """Whoever signed it."""
    assert refusal(ISSUER.token(header=header)) == code


CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"iss": "https://evil.example"}, "wrong-issuer"),
    ({"iss": ISSUER.name + "/"}, "wrong-issuer"),
    ({"iss": None}, "wrong-issuer"),
    ({"iss": [ISSUER.name]}, "wrong-issuer"),
    ({"aud": "detent.evil"}, "wrong-audience"),
    ({"aud": None}, "wrong-audience"),
    ({"aud": [AUDIENCE, "other"]}, "wrong-audience"),
    ({"aud": []}, "wrong-audience"),
    ({"aud": [[AUDIENCE]]}, "wrong-audience"),
    ({"aud": {AUDIENCE: 1}}, "wrong-audience"),
    ({"cnf": {"jkt": "AA"}}, "proof-required"),
    ({"cnf": {}}, "proof-required"),
    ({"exp": None}, "claim-invalid"),
    ({"exp": "4000000000"}, "claim-invalid"),
    ({"exp": True}, "claim-invalid"),
    ({"nbf": "0"}, "claim-invalid"),
    ({"iat": []}, "claim-invalid"),
    ({"exp": NOW - 6}, "expired"),
    ({"exp": NOW - 4_000_000}, "expired"),
    ({"exp": NOW + 90_000}, "lifetime-refused"),
    ({"exp": 10**400}, "claim-invalid"),
    ({"nbf": NOW + 60}, "not-yet-valid"),
    ({"iat": NOW + 60}, "not-yet-valid"),
]


@pytest.mark.parametrize(("claims", "code"), CLAIMS)
def test_claims_that_are_not_for_us_are_refused(claims: dict[str, Any], code: str) -> None:
    """Another issuer or audience, a proof we do not check, a time that is not now."""
    assert refusal(ISSUER.token(**claims)) == code


def test_clocks_may_differ_by_the_leeway_and_no_more() -> None:
    """At both ends of its life."""
    rules = TrustedIssuer(ISSUER.name, frozenset({AUDIENCE}), leeway_s=30)
    token = ISSUER.token(iat=None, nbf=NOW, exp=NOW + 60)
    for now_s in (NOW - 30, NOW + 89):
        assert verified(token, rules, now_s)
    assert refusal(token, rules, NOW - 31) == "not-yet-valid"
    assert refusal(token, rules, NOW + 90) == "expired"


def test_times_may_have_fractions() -> None:
    """NumericDate is a number (RFC 7519 section 2)."""
    assert verified(ISSUER.token(iat=None, nbf=NOW - 0.5, exp=NOW + 0.5))


def test_an_algorithm_that_the_issuer_does_not_use_is_refused() -> None:
    """The allow-list is each issuer's own."""
    rules = TrustedIssuer(ISSUER.name, frozenset({AUDIENCE}), algorithms=frozenset({"RS256"}))
    assert verified(ISSUER.token("RS256"), rules)
    assert refusal(ISSUER.token("ES256"), rules) == "algorithm-refused"


def test_a_public_key_is_no_secret() -> None:
    """HS256 over the issuer's PEM, the classic confusion."""
    header = {"alg": "HS256", "typ": "at+jwt", "kid": "RS256"}
    parts = (json.dumps(header).encode(), json.dumps(ISSUER.claims()).encode())
    signed = ".".join(base64url.encode(part) for part in parts)
    digest = hmac.digest(public_pem(ISSUER.keys["RS256"]), signed.encode(), hashlib.sha256)
    assert refusal(f"{signed}.{base64url.encode(digest)}") == "algorithm-refused"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("part", [0, 1, 2])
def test_whatever_is_changed_breaks_the_signature(algorithm: str, part: int) -> None:
    """Claims, header or the signature itself."""
    good = ISSUER.token(algorithm).split(".")
    other = ISSUER.token(algorithm, header={"x5t": "AA"}, jti="other").split(".")
    mixed = [*good[:part], other[part], *good[part + 1 :]]
    assert refusal(".".join(mixed)) == "bad-signature"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "e30.e30.AA\u00e9",
        lambda _: ISSUER.sign('{"iss":"a","iss":"b"}', "ES256"),
        lambda _: ISSUER.sign('["iss"]', "ES256"),
        lambda _: ISSUER.sign('{"exp":NaN}', "ES256"),
        lambda token: token + ".AA",
        lambda token: token.rpartition(".")[0],
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token + "=",
        lambda token: token + "\n",
        lambda token: " " + token,
        lambda token: token.replace(".", ".=", 1),
        lambda token: base64.b64encode(token.encode()).decode(),
    ],
)
def test_what_is_no_token_is_malformed(spoil: Any) -> None:
    """Another spelling of a valid one included."""
    assert refusal(spoil(ISSUER.token())) == "malformed"


def test_a_token_has_a_size() -> None:
    """Measured before anything is decoded."""
    assert refusal(ISSUER.token(note="x" * MAX_TOKEN_BYTES)) == "too-large"


def test_a_token_without_an_issuer_is_nobodys() -> None:
    """There is no default one."""
    assert issuer_of(parse_agent_token(ISSUER.token(iss=None))) == ""
    assert issuer_of(parse_agent_token(ISSUER.token(iss=7))) == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"issuer": ""},
        {"audiences": frozenset()},
        {"algorithms": frozenset({"HS256"})},
        {"leeway_s": 31},
        {"leeway_s": -1},
    ],
)
def test_rules_that_would_admit_too_much_cannot_be_made(fields: dict[str, Any]) -> None:
    """Nobody and everybody, an algorithm with secrets, clocks that differ by minutes."""
    with pytest.raises(ValueError, match="must be"):
        TrustedIssuer(**{"issuer": "i", "audiences": frozenset({"a"})} | fields)
