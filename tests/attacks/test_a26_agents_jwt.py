"""A26, A27, A29 for agents' JWTs: expired, forged, for others, bound to a key, or of nobody.

Every one is 401 and the tool gets 0 bytes; there is no fallback principal.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from credentials import base64url
from tests.harness.gateway import Gateway
from tests.harness.issuer import AUDIENCE, Issuer, private_keys, public_pem
from tests.harness.recorder import Recorder
from tests.harness.trusting import issuer, trust
from tests.harness.world import World

__all__ = ["issuer"]


@pytest.fixture
async def trusting(world: World, issuer: Issuer) -> AsyncIterator[Gateway]:
    """A gateway that trusts the issuer."""
    trust(world, issuer)
    async with Gateway(world) as gateway:
        yield gateway


async def refused(gateway: Gateway, recorder: Recorder, token: str) -> bool:
    """Whether every door answers 401 and the tool hears nothing."""
    body = {"server": "rec", "tool": "write", "arguments": {"text": "x"}}
    rpc = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    asked: dict[str, Any] = {"/v1/calls": body, "/mcp": rpc, "/v1/sessions": {}}
    answers = [await gateway.ask("POST", path, sent, token=token) for path, sent in asked.items()]
    return [status for status, _ in answers] == [401] * 3 and recorder.received == []


async def test_a26_a_good_token_is_its_subject(
    trusting: Gateway, issuer: Issuer, recorder: Recorder
) -> None:
    """The door is not simply shut; the token itself goes nowhere (A62)."""
    for algorithm in ("ES256", "RS256", "EdDSA"):
        token = issuer.token(algorithm)
        status, answer = await trusting.call("write", {"text": algorithm}, token=token)
        assert (status, answer["outcome"]) == (200, "done")
        sent = recorder.received[-1]
        assert "Authorization" not in sent.headers
        assert token not in str(sent.headers)
    _, decisions = await trusting.operate("GET", "/v1/decisions")
    assert {one["agent"] for one in decisions["decisions"]} == {"nightly"}
    assert issuer.asked == 1


def times() -> dict[str, dict[str, Any]]:
    """Return claims whose times are not now."""
    now = int(time.time())
    return {
        "expired": {"exp": now - 60, "iat": now - 600, "nbf": now - 600},
        "not yet": {"nbf": now + 600, "exp": now + 900},
        "for years": {"exp": now + 10**8},
        "no end": {"exp": None},
    }


CLAIMS: dict[str, dict[str, Any]] = {
    "other audience": {"aud": "detent-test"},
    "two audiences": {"aud": [AUDIENCE, "other"]},
    "no audience": {"aud": None},
    "other issuer": {"iss": "https://idp.example.evil"},
    "no issuer": {"iss": None},
    "no subject": {"sub": None},
    "other subject": {"sub": "system:serviceaccount:agents:nightly2"},
    "list of subjects": {"sub": ["system:serviceaccount:agents:nightly"]},
    "DPoP-bound": {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
    "mTLS-bound": {"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
}
HEADERS: dict[str, dict[str, Any]] = {
    "alg none": {"alg": "none"},
    "alg case": {"alg": "es256"},
    "HS256": {"alg": "HS256"},
    "another key's algorithm": {"alg": "RS256"},
    "another type": {"typ": "JWT"},
    "no type": {"typ": None},
    "jwk": {"jwk": {"kty": "oct", "k": "AA"}},
    "jku": {"jku": "https://evil.example/jwks"},
    "x5u": {"x5u": "https://evil.example/x"},
    "crit": {"crit": ["b64"], "b64": True},
    "kid traversal": {"kid": "../../../dev/null"},
    "kid query": {"kid": "' OR 1=1 --"},
    "no kid": {"kid": None},
}


async def test_a26_a27_a29_claims_and_headers_that_are_not_ours_are_nobody(
    trusting: Gateway, issuer: Issuer, recorder: Recorder
) -> None:
    """Whatever the issuer itself would sign."""
    for name, claims in (times() | CLAIMS).items():
        assert await refused(trusting, recorder, issuer.token(**claims)), name
    for name, header in HEADERS.items():
        assert await refused(trusting, recorder, issuer.token(header=header)), name


async def test_a27_forged_tokens_are_nobody(
    trusting: Gateway, issuer: Issuer, recorder: Recorder
) -> None:
    """Somebody else's key under the issuer's name, its public key as a secret, no signature."""
    thief = Issuer(issuer.name, private_keys())
    header = base64url.encode(b'{"alg":"HS256","typ":"at+jwt","kid":"RS256"}')
    claims = base64url.encode(json.dumps(issuer.claims(jti="forged")).encode())
    secret = public_pem(issuer.keys["RS256"])
    digest = hmac.digest(secret, f"{header}.{claims}".encode(), hashlib.sha256)
    good = issuer.token()
    forged = {
        "another key": thief.token(),
        "public key as secret": f"{header}.{claims}.{base64url.encode(digest)}",
        "none": ".".join((base64url.encode(b'{"alg":"none","kid":"ES256"}'), claims, "AA")),
        "no signature": good.rpartition(".")[0] + ".",
        "other claims": f"{good.split('.')[0]}.{claims}.{good.split('.')[2]}",
        "duplicate claims": issuer.sign(
            json.dumps(issuer.claims())[:-1] + ',"sub":"x","sub":"y"}', "ES256"
        ),
        "another spelling": good[:-1] + _next(good[-1]),
        "padding": good + "=",
        "encoded twice": base64.b64encode(good.encode()).decode(),
        "four parts": good + ".AA",
        "huge": issuer.token(note="x" * 9_000),
    }
    for name, token in forged.items():
        assert await refused(trusting, recorder, token), name


async def test_a26_without_the_issuers_keys_nobody_gets_in(
    world: World, issuer: Issuer, recorder: Recorder
) -> None:
    """503, fail closed; static agents go on."""
    trust(world, issuer)
    issuer.status = 500
    async with Gateway(world) as gateway:
        status, problem = await gateway.call("write", {"text": "x"}, token=issuer.token())
        assert (status, problem["code"]) == (503, "identity-unavailable")
        assert recorder.received == []
        assert (await gateway.call("write", {"text": "x"}))[0] == 200


async def test_a26_a_name_of_the_configuration_cannot_be_claimed(
    world: World, issuer: Issuer, recorder: Recorder
) -> None:
    """An issuer that names its agents by claims is kept to its tenants and to new names."""
    rule = {
        "agent": "client_id",
        "tenant": "org",
        "tenants": ["initech", "acme"],
        "roles": ["tester"],
        "roles_claim": "groups",
    }
    trust(world, issuer, subjects=[], claims=rule)
    world.settings["identity"]["agents"][0]["roles"] = ["tester"]
    claims: dict[str, Any] = {"client_id": "bot", "org": "initech", "groups": "tester admin"}
    async with Gateway(world) as gateway:
        for changes in ({"client_id": "tester", "org": "acme"}, {"org": "globex"}, {"org": None}):
            assert await refused(gateway, recorder, issuer.token(**claims | changes))
        assert (await gateway.call("write", {}, token=issuer.token(**claims)))[0] == 200
        without = issuer.token(**claims | {"groups": "admin"})
        status, answer = await gateway.call("write", {}, token=without)
        assert (status, answer["reasons"][0]["id"]) == (403, "role-not-allowed")
    assert len(recorder.received) == 1


async def test_a30_a_session_does_not_outlive_its_proof(
    trusting: Gateway, issuer: Issuer, recorder: Recorder
) -> None:
    """When the issuer's last word has expired, the session's token is nobody's."""
    short = issuer.token(exp=int(time.time()) + 1, iat=None, nbf=None)
    _, session = await trusting.ask("POST", "/v1/sessions", {}, token=short)
    assert (await trusting.call("read", token=session["token"]))[0] == 200
    trusting_until = time.time() + 7  # one second, and the five that clocks may differ
    while (status := (await trusting.call("read", token=session["token"]))[0]) == 200:
        assert time.time() < trusting_until
    assert status == 401
    assert (await trusting.call("read", token=issuer.token()))[0] == 200
    assert (await trusting.call("read", token=session["token"]))[0] == 200


async def test_a26_the_log_holds_no_token(
    trusting: Gateway, issuer: Issuer, recorder: Recorder
) -> None:
    """Neither a good one nor a refused one, in no part."""
    tokens = [issuer.token(), issuer.token(aud="other")]
    for token in tokens:
        await trusting.call("write", {"text": "x"}, token=token)
    assert await trusting.wrote("agent refused: wrong-audience")
    for token in tokens:
        assert all(part not in trusting.text for part in token.split("."))


def _next(letter: str) -> str:
    """Return a letter that a lenient decoder reads as the same bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return alphabet[alphabet.index(letter) ^ 1]
