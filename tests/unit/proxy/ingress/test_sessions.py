import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.errors import BadRequest
from proxy.ingress.sessions import session_request
from proxy.model.session import Mode
from proxy.pipeline.sessions import SessionRequest
from tests.harness.doors import RecordingGate, ask

ASKED = [
    (b"", SessionRequest()),
    (b"{}", SessionRequest()),
    (b'{"mode":"dry_run"}', SessionRequest(Mode.DRY_RUN)),
    (
        b'{"mode":"read_only","budget":{"risk":5},"purpose":"nightly"}',
        SessionRequest(Mode.READ_ONLY, 5, "nightly"),
    ),
    (b'{"budget":{}}', SessionRequest()),
]
REFUSED = [
    (b"[]", "not-an-object"),
    (b'{"budget":5}', "not-an-object"),
    (b'{"Mode":"dry_run"}', "unknown-member"),
    (b'{"budget":{"tokens":5}}', "unknown-member"),
    (b'{"mode":"root"}', "invalid-mode"),
    (b'{"mode":["dry_run"]}', "invalid-mode"),
    (b'{"purpose":1}', "invalid-purpose"),
    (b'{"purpose":"%b"}' % (b"x" * 513), "invalid-purpose"),
    (b'{"budget":{"risk":-1}}', "invalid-budget"),
    (b'{"budget":{"risk":true}}', "invalid-budget"),
    (b'{"budget":{"risk":1.0}}', "invalid-budget"),
    (b'{"mode":"dry_run","mode":"read_write"}', "duplicate-key"),
]


@pytest.mark.parametrize(("body", "asked"), ASKED)
def test_an_agent_may_ask_for_less(body: bytes, asked: SessionRequest) -> None:
    """What it leaves out is up to policy."""
    assert session_request(body) == asked


@pytest.mark.parametrize(("body", "code"), REFUSED)
def test_a_malformed_wish_is_refused(body: bytes, code: str) -> None:
    """By the same strict parser as calls."""
    with pytest.raises(BadRequest) as refused:
        session_request(body)
    assert refused.value.code == code


async def test_opening_shows_the_token_once(app: ASGIApp, gate: RecordingGate) -> None:
    """The answer has everything an agent needs, and may not be cached."""
    body = json.dumps({"mode": "dry_run"}).encode()
    reply = await ask(app, "POST", "/v1/sessions", body)
    expected: dict[str, Any] = {
        "id": "ses_loop",
        "token": "dts_token",
        "expires_at": "2026-11-22T13:00:00Z",
        "mode": "read_write",
        "budget": {"risk": {"limit": 100, "used": 0, "held": 0}},
    }
    assert (reply.status, reply.json) == (201, expected)
    assert reply.headers["cache-control"] == "no-store"
    assert gate.opened == [SessionRequest(Mode.DRY_RUN)]


async def test_ending_takes_the_callers_own_session(app: ASGIApp, gate: RecordingGate) -> None:
    """Another's is refused by the pipeline and told as a problem."""
    assert (await ask(app, "DELETE", "/v1/sessions/ses_loop")).status == 204
    reply = await ask(app, "DELETE", "/v1/sessions/ses_other")
    assert (reply.status, reply.json["code"]) == (403, "session-closed")
    assert gate.ended == ["ses_loop"]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/sessions"), ("DELETE", "/v1/sessions/ses_loop")]
)
async def test_both_need_a_token(app: ASGIApp, method: str, path: str) -> None:
    """Nobody opens or ends a session unnamed."""
    assert (await ask(app, method, path, headers={"authorization": ""})).status == 401
