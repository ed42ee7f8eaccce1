import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import jwt
import pytest

from credentials.base import LeaseRequest
from credentials.jwt_broker import JwtBroker
from credentials.keys import KeyDirectory
from credentials.verify import InvalidToken, ReplayCache, VerifiedCall, Verifier

Wanted = Callable[..., LeaseRequest]
Claims = dict[str, object]


@pytest.fixture
async def token(broker: JwtBroker, wanted: Wanted) -> str:
    return (await broker.mint(wanted())).headers["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def resigned(keys: KeyDirectory, token: str) -> Callable[..., str]:
    """Sign the token again with other claims; None takes a claim away."""

    def sign(**changes: object) -> str:
        claims: Claims = jwt.decode(token, options={"verify_signature": False}) | changes
        kept = {name: claim for name, claim in claims.items() if claim is not None}
        headers = {"typ": "at+jwt", "kid": keys.active.kid}
        return jwt.PyJWS().encode(
            json.dumps(kept).encode(), keys.active.private, "ES256", headers=headers
        )

    return sign


def refusal(verifier: Verifier, token: str, **presented: object) -> str:
    with pytest.raises(InvalidToken) as refused:
        verifier.verify(token, **presented)  # type: ignore[arg-type]  # a table of what is presented
    return refused.value.code


def test_an_honest_token_tells_its_call(verifier: Verifier, token: str) -> None:
    """Everything a resource needs to decide and to log."""
    call = verifier.verify(token, tool="records/update", arguments=b"{}")
    assert call == VerifiedCall(
        subject="acme/nightly-loop",
        actor="acme/nightly-loop",
        client_id="acme/nightly-loop",
        lease_id="lse_1",
        session_id="ses_1",
        step_id="stp_1",
        scope=("records:write",),
        tool="records/update",
        arguments_sha256=call.arguments_sha256,
        tool_pin="sha256:" + "b" * 64,
        policy_revision="git:abc",
        decision_id="dec_1",
        epoch=7,
        issued_at_s=1_800_000_000,
        not_before_s=1_800_000_000,
        expires_at_s=1_800_000_030,
    )


def test_the_key_set_may_be_a_document(verifier: Verifier, keys: KeyDirectory, token: str) -> None:
    """A set read once from a file verifies as well as a function."""
    assert dataclasses.replace(verifier, jwks=keys.jwks()).verify(token)


def test_a_token_is_good_once(verifier: Verifier, token: str) -> None:
    """The second presentation is a replay."""
    verifier.verify(token)
    assert refusal(verifier, token) == "replayed"


def test_a_refused_presentation_does_not_use_the_token_up(verifier: Verifier, token: str) -> None:
    """The id is spent last, so a wrong call cannot spend the right one's token."""
    assert refusal(verifier, token, tool="records/delete") == "tool-mismatch"
    assert refusal(verifier, token, arguments=b'{"id":1}') == "arguments-mismatch"
    assert verifier.verify(token, tool="records/update", arguments=b"{}")


def test_a_full_replay_cache_refuses(verifier: Verifier, token: str) -> None:
    """What cannot be remembered is not accepted."""
    once = ReplayCache(max_entries=1)
    once.claim("other", 1_800_000_060, 1_800_000_000)
    assert refusal(dataclasses.replace(verifier, once=once), token) == "replay-cache-full"


def test_the_epoch_floor_is_asked_for_this_call(verifier: Verifier, token: str) -> None:
    """A kill of its scope raises the floor above the token's epoch."""
    asked: list[VerifiedCall] = []

    def floor(call: VerifiedCall) -> int:
        asked.append(call)
        return 8

    assert refusal(dataclasses.replace(verifier, epoch_floor=floor), token) == "epoch-stale"
    assert [call.tool for call in asked] == ["records/update"]


@pytest.mark.parametrize(
    ("moved_s", "code"),
    [(-6, "not-yet-valid"), (-5, None), (29.999, None), (30, "expired")],
)
def test_the_leeway_forgives_a_clock_ahead_and_stretches_no_end(
    verifier: Verifier, token: str, time_s: list[float], moved_s: float, code: str | None
) -> None:
    """With 5 s of leeway a token of 30 s is good from -5 s to just under 30 s."""
    time_s[0] += moved_s
    if code is None:
        assert verifier.verify(token)
    else:
        assert refusal(verifier, token) == code


@pytest.mark.parametrize(("moved_s", "code"), [(1.481, None), (1.482, "expired")])
def test_an_end_between_two_seconds_is_kept_to_the_millisecond(
    verifier: Verifier,
    resigned: Callable[..., str],
    time_s: list[float],
    moved_s: float,
    code: str | None,
) -> None:
    """A token ends with a kill lease, and those do not end on whole seconds."""
    token = resigned(exp=1_800_000_001.482)
    time_s[0] += moved_s
    if code is None:
        assert verifier.verify(token).expires_at_s == 1_800_000_001.482
    else:
        assert refusal(verifier, token) == code


def test_tokens_near_their_end_do_not_push_each_other_out(
    verifier: Verifier, resigned: Callable[..., str], time_s: list[float]
) -> None:
    """Each is good once, and is remembered for as long as it lives."""
    first, second = resigned(jti="lse_1"), resigned(jti="lse_2")
    time_s[0] += 28
    assert verifier.verify(first)
    time_s[0] += 1
    assert verifier.verify(second)
    assert refusal(verifier, first) == "replayed"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": "https://other.example"}, "wrong-issuer"),
        ({"iss": ["https://detent.example"]}, "wrong-issuer"),
        ({"aud": "https://other.example"}, "wrong-audience"),
        ({"aud": ["https://records.example"]}, "wrong-audience"),
        ({"cnf": {"jkt": "x"}}, "proof-required"),
        ({"jti": None}, "claim-missing"),
        ({"exp": None}, "claim-missing"),
        ({"act": None}, "claim-missing"),
        ({"jti": 1}, "claim-invalid"),
        ({"jti": ""}, "claim-invalid"),
        ({"scope": ["records:write"]}, "claim-invalid"),
        ({"exp": "1800000030"}, "claim-invalid"),
        ({"exp": True}, "claim-invalid"),
        ({"iat": 1800000000.0}, "claim-invalid"),
        ({"nbf": True}, "claim-invalid"),
        ({"epoch": -1}, "claim-invalid"),
        ({"act": "acme/x"}, "claim-invalid"),
        ({"act": {"sub": 1}}, "claim-invalid"),
        ({"authorization_details": {}}, "claim-invalid"),
        ({"authorization_details": []}, "claim-invalid"),
        ({"authorization_details": ["x"]}, "claim-invalid"),
        ({"authorization_details": [{"type": "detent_tool_call"}]}, "claim-invalid"),
        ({"args_sha256": "0" * 64}, "claim-invalid"),
        ({"exp": 1_800_000_061}, "lifetime-refused"),
        ({"exp": 1_800_000_060.001}, "lifetime-refused"),
        ({"exp": 1_800_000_000}, "lifetime-refused"),
        ({"nbf": 1_800_000_006}, "not-yet-valid"),
        ({"iat": 1_800_000_006}, "not-yet-valid"),
    ],
)
def test_claims_that_the_broker_never_signs_are_refused(
    verifier: Verifier, resigned: Callable[..., str], changes: Claims, code: str
) -> None:
    """A good signature is not enough: each claim has one form."""
    assert refusal(verifier, resigned(**changes)) == code


@pytest.mark.parametrize(
    "detail",
    [
        {"type": "other"},
        {"tool": 1},
        {"args_sha256": "0" * 64},
        {"locations": ["x"]},
    ],
)
def test_a_detail_that_says_something_else_is_refused(
    verifier: Verifier, resigned: Callable[..., str], wanted: Wanted, detail: Claims
) -> None:
    """The detail has one type, a tool, the arguments of the claim, and nothing more."""
    digest = wanted().arguments_sha256
    honest = {"type": "detent_tool_call", "tool": "records/update", "args_sha256": digest}
    for details in ([honest | detail], [honest, honest | detail]):
        assert refusal(verifier, resigned(authorization_details=details)) == "claim-invalid"


def test_an_unchanged_token_signed_again_is_good(
    verifier: Verifier, resigned: Callable[..., str]
) -> None:
    """The control: it is the changed claim that the tables above refuse."""
    assert verifier.verify(resigned())


def test_a_signature_by_another_key_is_bad(verifier: Verifier, token: str, tmp_path: Path) -> None:
    """Under a published name too: the name chooses the key, the key has the last word."""
    stranger = KeyDirectory.open(tmp_path / "stranger").active.private
    header = jwt.get_unverified_header(token)
    claims = json.dumps(jwt.decode(token, options={"verify_signature": False})).encode()
    forged = jwt.PyJWS().encode(claims, stranger, "ES256", headers=header)
    assert refusal(verifier, forged) == "bad-signature"


def test_a_key_that_is_not_published_is_unknown(verifier: Verifier, token: str) -> None:
    """An empty set verifies nothing."""
    assert refusal(dataclasses.replace(verifier, jwks={"keys": []}), token) == "unknown-key"


def test_a_key_set_that_cannot_be_had_verifies_nothing(verifier: Verifier, token: str) -> None:
    """The caller's own failure passes through; the token is not used up."""

    def unreachable() -> Mapping[str, object]:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        dataclasses.replace(verifier, jwks=unreachable).verify(token)
    assert verifier.verify(token)


@pytest.mark.parametrize(
    "changes", [{"leeway_s": 31}, {"leeway_s": -1}, {"issuer": ""}, {"audience": ""}]
)
def test_a_verifier_that_would_take_too_much_is_refused(
    verifier: Verifier, changes: dict[str, object]
) -> None:
    """No wide leeway, no empty party."""
    with pytest.raises(ValueError, match="must be"):
        dataclasses.replace(verifier, **changes)  # type: ignore[arg-type]  # a table of changes
