import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from credentials import base64url
from credentials.base import (
    BrokerMisconfigured,
    BrokerUnavailable,
    GrantRefused,
    Lease,
    LeaseRequest,
)
from credentials.jwt_broker import JwtBroker
from credentials.keys import KeyDirectory
from credentials.verify import ReplayCache, Verifier

Wanted = Callable[..., LeaseRequest]
SCOPE_CHARACTERS = "".join(chr(n) for n in range(0x21, 0x7F) if chr(n) not in '"\\*')


def token_of(lease: Lease) -> str:
    scheme, token = lease.headers["Authorization"].split(" ")
    assert scheme == "Bearer"
    return token


def part(lease: Lease, number: int) -> dict[str, object]:
    decoded: dict[str, object] = json.loads(base64url.decode(token_of(lease).split(".")[number]))
    return decoded


async def test_the_header_names_type_algorithm_and_key(
    broker: JwtBroker, keys: KeyDirectory, wanted: Wanted
) -> None:
    """Three parameters and no other (RFC 9068 section 2.1)."""
    header = part(await broker.mint(wanted()), 0)
    assert header == {"typ": "at+jwt", "alg": "ES256", "kid": keys.active.kid}


async def test_the_claims_are_those_of_the_call(broker: JwtBroker, wanted: Wanted) -> None:
    """Who, what for, with which arguments, under which decision, until when."""
    request = wanted(scope=("records:read", "records:write"))
    assert part(await broker.mint(request), 1) == {
        "iss": "https://detent.example",
        "aud": "https://records.example",
        "sub": "acme/nightly-loop",
        "act": {"sub": "acme/nightly-loop"},
        "client_id": "acme/nightly-loop",
        "jti": "lse_1",
        "iat": 1_800_000_000,
        "nbf": 1_800_000_000,
        "exp": 1_800_000_030,
        "sid": "ses_1",
        "txn": "stp_1",
        "scope": "records:read records:write",
        "authorization_details": [
            {
                "type": "detent_tool_call",
                "tool": "records/update",
                "args_sha256": request.arguments_sha256,
            }
        ],
        "args_sha256": request.arguments_sha256,
        "tool_def_sha256": request.tool_pin,
        "policy_rev": "git:abc",
        "decision_id": "dec_1",
        "epoch": 7,
    }


async def test_the_lease_ends_with_the_token(broker: JwtBroker, wanted: Wanted) -> None:
    """The ledger learns the same end that the resource will see."""
    lease = await broker.mint(wanted(ttl_s=60))
    assert lease.expires_at == datetime.fromtimestamp(1_800_000_060, UTC)
    assert (lease.id, lease.broker) == ("lse_1", "jwt")


@pytest.mark.parametrize(
    ("ends_by_s", "exp"),
    [
        (1_800_000_001.4829, 1_800_000_001.482),
        (1_800_000_029.9999, 1_800_000_029.999),
        (1_800_000_030.0, 1_800_000_030),
        (1_800_000_099.5, 1_800_000_030),
    ],
)
async def test_a_token_ends_by_the_time_it_is_given(
    broker: JwtBroker, wanted: Wanted, ends_by_s: float, exp: float
) -> None:
    """Rounded down to the millisecond, and never later than its own lifetime."""
    lease = await broker.mint(wanted(ends_by_s=ends_by_s))
    assert part(lease, 1)["exp"] == exp
    assert lease.expires_at.timestamp() == pytest.approx(exp, abs=1e-5)


async def test_nothing_is_signed_that_has_ended_already(broker: JwtBroker, wanted: Wanted) -> None:
    """A token nobody would take is no token."""
    with pytest.raises(BrokerUnavailable):
        await broker.mint(wanted(ends_by_s=1_800_000_000.0))


async def test_a_rotated_key_signs_the_next_token(
    broker: JwtBroker, keys: KeyDirectory, verifier: Verifier, wanted: Wanted
) -> None:
    """Tokens of the old key verify on beside those of the new."""
    old = await broker.mint(wanted(lease_id="lse_old"))
    kid = keys.rotate()
    new = await broker.mint(wanted(lease_id="lse_new"))
    assert part(new, 0)["kid"] == kid
    assert [verifier.verify(token_of(lease)).lease_id for lease in (old, new)] == [
        "lse_old",
        "lse_new",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"ttl_s": 0},
        {"ttl_s": 61},
        {"ttl_s": "30"},
        {"audience": ""},
        {"audience": "*"},
        {"scope": ()},
        {"scope": ("*",)},
        {"scope": ("records:*",)},
        {"scope": ("a", "a")},
        {"scope": ("a b",)},
        {"epoch": -1},
        {"arguments_sha256": "x"},
        {"lease_id": ""},
        {"step_id": "a\n"},
        {"session_id": "a\0b"},
        {"subject": "acme/\u202eevil"},
        {"tool": "records/update\r\nX: 1"},
        {"tool_pin": ""},
        {"policy_revision": ""},
        {"decision_id": "\x7f"},
        {"scope": tuple(f"{n:02}{'s' * 126}" for n in range(32)), "tool": "t" * 512},
        {"subject": "東" * 512},
    ],
)
async def test_a_grant_that_is_too_wide_is_neither_shown_nor_minted(
    broker: JwtBroker, wanted: Wanted, changes: dict[str, object]
) -> None:
    """Preview and mint refuse the same requests, control characters and oversize included."""
    with pytest.raises(GrantRefused):
        broker.preview(wanted(**changes))
    with pytest.raises(GrantRefused):
        await broker.mint(wanted(**changes))


def test_a_preview_has_no_token_in_it(broker: JwtBroker, wanted: Wanted) -> None:
    """Claims without id, times and signature, marked as not minted."""
    preview = broker.preview(wanted())
    claims = preview["claims"]
    assert isinstance(claims, dict)
    assert (preview["minted"], preview["ttl_s"]) == (False, 30)
    assert not claims.keys() & {"jti", "iat", "nbf", "exp"}
    assert claims["scope"] == "records:write"


async def test_a_revoked_token_is_known_until_no_one_would_take_it(
    broker: JwtBroker, wanted: Wanted, time_s: list[float]
) -> None:
    """Its longest life and the widest leeway: 90 s; then the memory is freed."""
    lease = await broker.mint(wanted())
    assert not broker.is_revoked(lease.id)
    await broker.revoke(lease.id)
    time_s[0] += 89
    assert broker.is_revoked(lease.id)
    time_s[0] += 1
    assert not broker.is_revoked(lease.id)
    assert not broker._revoked


async def test_revoking_frees_what_has_run_out(broker: JwtBroker, time_s: list[float]) -> None:
    """The memory holds the last 90 s of revocations and no more."""
    for number in range(300):
        time_s[0] += 1
        await broker.revoke(f"lse_{number}")
    assert len(broker._revoked) == 90


async def test_a_revoked_lease_is_not_minted_again(broker: JwtBroker, wanted: Wanted) -> None:
    """A kill between decision and mint cannot be overtaken by a late mint."""
    await broker.revoke("lse_1")
    with pytest.raises(GrantRefused, match="revoked"):
        await broker.mint(wanted())


@pytest.mark.parametrize("issuer", ["", "a b", "https://x\n"])
def test_an_issuer_that_is_no_name_is_refused(keys: KeyDirectory, issuer: str) -> None:
    """The name stands in every token."""
    with pytest.raises(BrokerMisconfigured, match="issuer"):
        JwtBroker(keys, issuer)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scope=st.lists(st.text(SCOPE_CHARACTERS, min_size=1, max_size=12), min_size=1, max_size=6),
    ttl_s=st.integers(-5, 70),
)
async def test_a_token_never_says_more_than_was_asked(
    broker: JwtBroker, verifier: Verifier, wanted: Wanted, scope: list[str], ttl_s: int
) -> None:
    """Either the request is refused, or the token's scope and life are exactly those asked."""
    request = wanted(scope=tuple(scope), ttl_s=ttl_s)
    try:
        lease = await broker.mint(request)
    except GrantRefused:
        assert len(set(scope)) < len(scope) or not 1 <= ttl_s <= 60
        return
    verifier = Verifier(
        verifier.jwks,
        verifier.issuer,
        verifier.audience,
        lambda _: 0,
        ReplayCache(),
        verifier.clock,
    )
    call = verifier.verify(token_of(lease))
    assert set(call.scope) == set(scope)
    assert call.expires_at_s - call.issued_at_s == ttl_s
