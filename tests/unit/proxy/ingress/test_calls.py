import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.errors import BadRequest
from proxy.ingress.calls import call_of
from proxy.model.call import Door
from proxy.model.ledger import Outcome
from proxy.model.step import Answer
from tests.harness.doors import RecordingGate, ask, refused

CALL: dict[str, Any] = {"server": "rec", "tool": "write", "arguments": {"n": 1}}
REFUSED: list[tuple[Any, str]] = [
    ([CALL], "not-an-object"),
    (CALL | {"Tool": "write"}, "unknown-member"),
    (CALL | {"ARGUMENTS": {}}, "unknown-member"),
    (CALL | {"session": "x"}, "unknown-member"),
    ({"tool": "write"}, "unknown-tool-name"),
    ({"server": "rec"}, "unknown-tool-name"),
    (CALL | {"arguments": None}, "arguments-not-object"),
    (CALL | {"dry_run": "yes"}, "invalid-dry-run"),
    (CALL | {"idempotency_key": None, "dry_run": 0}, "invalid-dry-run"),
]


def encoded(**more: Any) -> bytes:
    return json.dumps(CALL | more).encode()


@pytest.mark.parametrize(("body", "code"), REFUSED)
async def test_a_malformed_call_is_refused_and_audited(
    app: ASGIApp, gate: RecordingGate, body: Any, code: str
) -> None:
    """The pipeline gets nothing but the record of it."""
    reply = await ask(app, "POST", "/v1/calls", json.dumps(body).encode())
    assert (reply.status, reply.json["code"]) == (400, code)
    assert (gate.calls, gate.rejected) == ([], [(code, Door.CALLS)])


async def test_the_outcome_document_is_the_answer(app: ASGIApp, gate: RecordingGate) -> None:
    """With the tool's own JSON spelled as the tool spelled it."""
    raw = b'{"content": [], "n": 1.50}'
    gate.answer = lambda _: Answer("stp_1", "allow", (), Outcome.DONE, result=raw)
    reply = await ask(app, "POST", "/v1/calls", encoded())
    assert (reply.status, reply.json["outcome"]) == (200, "done")
    assert raw in reply.body


async def test_a_stored_answer_is_replayed_byte_for_byte(app: ASGIApp, gate: RecordingGate) -> None:
    """Nothing is written anew for a repeated idempotency key."""
    stored = b'{"step_id":"stp_0", "outcome":"done"}'
    gate.answer = lambda _: Answer("stp_0", "allow", (), Outcome.DONE, stored=stored)
    assert (await ask(app, "POST", "/v1/calls", encoded())).body == stored


async def test_a_denial_has_its_status_and_reasons(app: ASGIApp, gate: RecordingGate) -> None:
    """The document is the same, the status says how it ended."""
    gate.answer = refused("default-deny")
    reply = await ask(app, "POST", "/v1/calls", encoded())
    assert (reply.status, reply.json["verdict"]) == (403, "deny")
    assert [given["id"] for given in reply.json["reasons"]] == ["default-deny"]


async def test_without_a_token_nothing_is_read(app: ASGIApp, gate: RecordingGate) -> None:
    """Authentication comes before parsing; strangers do not fill the audit."""
    reply = await ask(app, "POST", "/v1/calls", b"not json", {"authorization": ""})
    assert (reply.status, reply.headers["www-authenticate"][:6]) == (401, "Bearer")
    assert (gate.calls, gate.rejected) == ([], [])


@pytest.mark.parametrize(
    ("member", "header", "key"),
    [("k1", None, "k1"), (None, "k1", "k1"), ("k1", "k1", "k1")],
)
def test_the_idempotency_key_comes_by_member_or_header(
    member: str | None, header: str | None, key: str
) -> None:
    """Both name the same thing."""
    more = {} if member is None else {"idempotency_key": member}
    assert call_of(encoded(**more), header).idempotency_key == key


@pytest.mark.parametrize("member", ["k2", None])
def test_two_different_keys_are_refused(member: str | None) -> None:
    """No guess is made which one is meant."""
    with pytest.raises(BadRequest, match="different keys"):
        call_of(encoded(idempotency_key=member), "k1")


def test_arguments_may_be_left_out() -> None:
    """They are then an empty object."""
    call = call_of(b'{"server":"rec","tool":"write","dry_run":true}', None)
    assert (call.arguments, call.dry_run) == (b"{}", True)
