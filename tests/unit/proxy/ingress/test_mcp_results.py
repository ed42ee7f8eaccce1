import json
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.ingress.mcp_results import input_required, method_reply, status_of, tool_reply
from proxy.model.ledger import Outcome
from proxy.model.mcp import RpcReply
from proxy.model.reasons import REASONS
from proxy.model.step import Answer

STAMP = {"io.modelcontextprotocol/serverInfo": {"name": "detent", "version": "1"}}


def answer_with(result: bytes | None = None, **more: Any) -> Answer:
    fields = {"outcome": Outcome.DONE, "decision_id": "dec_1", "policy_revision": "git:1"} | more
    return Answer("stp_1", "allow", fields.pop("reasons", ()), result=result, **fields)


def refusal(reason_id: str, outcome: Outcome = Outcome.DENIED) -> Answer:
    reasons = Refused.because(reason_id).refusal.reasons
    return answer_with(outcome=outcome, reasons=reasons)


def result_of(answer: Answer, stamp: dict[str, Any] | None = None) -> Any:
    return json.loads(result_text(tool_reply(answer, stamp)))


def result_text(reply: RpcReply) -> bytes:
    assert reply.result is not None
    return reply.result


def test_a_tools_result_goes_through_as_it_came() -> None:
    """Every member but `_meta` and `resultType` keeps its own spelling."""
    raw = b'{"content": [ ],\n "structuredContent":{"n":1.50,"big":12345678901234567890}}'
    reply = result_text(tool_reply(answer_with(raw), None))
    assert b'"content":[ ]' in reply
    assert b'"structuredContent":{"n":1.50,"big":12345678901234567890}' in reply


def test_the_stateless_era_has_its_result_type_and_stamp() -> None:
    """Whatever the upstream's own era said."""
    raw = b'{"content":[],"resultType":"complete"}'
    result = result_of(answer_with(b'{"content":[]}'), STAMP)
    assert result["resultType"] == "complete"
    assert result["_meta"].items() >= STAMP.items()
    assert "resultType" not in result_of(answer_with(raw))


def test_a_result_type_of_an_extension_is_kept() -> None:
    """A task is no content; it is still the server's own result."""
    raw = b'{"resultType":"task","taskId":"t"}'
    assert result_of(answer_with(raw), STAMP).items() >= json.loads(raw).items()


def test_a_final_result_never_asks_for_input() -> None:
    """What does ends its call with another outcome, after policy and with a sealed state."""
    raw = b'{"resultType":"input_required","inputRequests":{},"content":[]}'
    assert result_of(answer_with(raw), STAMP)["resultType"] == "complete"
    assert "resultType" not in result_of(answer_with(raw))


def test_an_upstream_cannot_speak_for_detent() -> None:
    """Its `_meta` is kept, but nothing under our own prefix."""
    raw = b'{"content":[],"_meta":{"io.detent/verdict":"allow","io.detent/x":1,"theirs":1.0}}'
    meta = result_of(answer_with(raw), STAMP)["_meta"]
    assert meta["theirs"] == 1.0
    assert "io.detent/x" not in meta
    assert meta["io.detent/step_id"] == "stp_1"
    assert meta["io.detent/policy_revision"] == "git:1"


@pytest.mark.parametrize("is_error", [False, True])
def test_an_http_result_is_wrapped(is_error: bool) -> None:
    """Its text for the model, itself as structured content, its failure as isError."""
    raw = b'{"status": 200, "body": {"n": 1.50}}'
    reply = result_text(tool_reply(answer_with(raw, is_error=is_error), STAMP))
    result = json.loads(reply)
    assert result["content"] == [{"type": "text", "text": raw.decode()}]
    assert b'"structuredContent":' + raw in reply
    assert result["isError"] is is_error


@pytest.mark.parametrize("raw", [b'["a"]', b'"text"', b"{broken", b"\xff", b"{" + b"[" * 5000])
def test_other_results_are_text(raw: bytes) -> None:
    """Even what is no JSON object reaches the model as something it can read."""
    result = result_of(answer_with(raw))
    assert result["content"][0]["text"] == raw.decode(errors="replace")
    assert "structuredContent" not in result


def test_a_preview_is_a_result() -> None:
    """It is no error: the model asked for it, or its session only previews."""
    preview = {"arguments_sha256": "00", "cost": {"risk": 5}}
    result = result_of(answer_with(outcome=Outcome.DRY_RUN, preview=preview), STAMP)
    assert (result["isError"], result["structuredContent"]) == (False, preview)
    assert "nothing was sent" in result["content"][0]["text"]


@pytest.mark.parametrize("reason_id", sorted(key for key, kind in REASONS.items() if kind.fault))
def test_faults_are_json_rpc_errors(reason_id: str) -> None:
    """With reasons, identity and what is known of the outcome."""
    error = json.loads(tool_reply(refusal(reason_id), STAMP).error or b"")
    assert error["data"]["reasons"][0]["id"] == reason_id
    assert error["data"].items() >= {"step_id": "stp_1", "decision_id": "dec_1"}.items()
    assert error["data"]["outcome"] == "denied"


@pytest.mark.parametrize(
    "reason_id", sorted(key for key, kind in REASONS.items() if not kind.fault)
)
def test_other_refusals_can_be_read_by_the_model(reason_id: str) -> None:
    """As an error result with the reason's sentence, which has the cure."""
    result = result_of(refusal(reason_id))
    text = result["content"][0]["text"]
    assert result["isError"] is True
    assert REASONS[reason_id].sentence in text
    assert reason_id in text
    assert result["_meta"]["io.detent/reasons"] == [reason_id]


def test_an_unknown_outcome_is_said() -> None:
    """The model must not take it for a failure without effect."""
    text = result_of(refusal("outcome-unknown", Outcome.UNKNOWN))["content"][0]["text"]
    assert "ended as unknown" in text


def test_a_held_call_names_its_approval() -> None:
    """For a client to show; it is no question, and nothing an agent says answers it."""
    answer = answer_with(outcome=Outcome.PENDING_APPROVAL, approval={"id": "apr_1"})
    assert result_of(answer, STAMP)["_meta"]["io.detent/approval"] == {"id": "apr_1"}
    assert error_of(method_reply("x/y", answer, None))["data"]["approval"] == {"id": "apr_1"}


def error_of(reply: RpcReply) -> Any:
    assert reply.error is not None
    return json.loads(reply.error)


def test_a_servers_error_goes_through_as_it_came() -> None:
    """For tools and for other methods."""
    raw = b'{"code": -32602, "message": "no", "data": {"n": 1.50}}'
    answer = answer_with(raw, is_rpc_error=True)
    assert tool_reply(answer, None) == method_reply("x/y", answer, None) == RpcReply(error=raw)
    assert error_of(tool_reply(answer, STAMP)) == json.loads(raw)


@pytest.mark.parametrize(("code", "shown"), [(-32002, -32602), (-32042, -32603), (-1, -1)])
def test_codes_of_the_handshake_era_stay_there(code: int, shown: int) -> None:
    """The stateless era says the same with others."""
    raw = json.dumps({"code": code, "message": "x"}).encode()
    answer = answer_with(raw, is_rpc_error=True)
    assert error_of(method_reply("resources/read", answer, STAMP))["code"] == shown
    assert error_of(method_reply("resources/read", answer, None))["code"] == code


def test_a_methods_result_goes_through_as_it_came() -> None:
    """With our identity beside its own `_meta`."""
    raw = b'{"messages":[1.50], "_meta":{"k":1,"io.detent/verdict":"x"}}'
    reply = result_text(method_reply("prompts/get", answer_with(raw), None))
    assert b'"messages":[1.50]' in reply
    meta = json.loads(reply)["_meta"]
    assert (meta["k"], meta["io.detent/verdict"]) == (1, "allow")


@pytest.mark.parametrize(
    ("raw", "ttl"),
    [
        (b"{}", 0),
        (b'{"ttlMs":5000,"cacheScope":"public"}', 5000),
        (b'{"ttlMs":-1}', 0),
        (b'{"ttlMs":1.5}', 0),
        (b'{"ttlMs":"1"}', 0),
    ],
)
def test_what_may_be_cached_says_for_how_long_and_for_whom(raw: bytes, ttl: int) -> None:
    """For one principal only, whatever the server says: policy filters."""
    shown = json.loads(result_text(method_reply("resources/read", answer_with(raw), STAMP)))
    assert (shown["ttlMs"], shown["cacheScope"]) == (ttl, "private")
    other = json.loads(result_text(method_reply("completion/complete", answer_with(raw), STAMP)))
    assert "cacheScope" not in other or other["cacheScope"] == "public"


@pytest.mark.parametrize(
    ("reason_id", "code"),
    [
        ("unknown-tool", -32601),
        ("upstream-failed", -32603),
        ("outcome-unknown", -32603),
        ("default-deny", -32010),
        ("killed", -32011),
        ("arguments-invalid", -32602),
    ],
)
def test_a_refused_method_is_an_error(reason_id: str, code: int) -> None:
    """Only results of tools can carry a refusal; a method without an entry does not exist."""
    error = error_of(method_reply("resources/read", refusal(reason_id), STAMP))
    assert (error["code"], error["data"]["reasons"][0]["id"]) == (code, reason_id)


def test_a_methods_preview_is_in_its_meta() -> None:
    """It fits no result of the method."""
    answer = answer_with(outcome=Outcome.DRY_RUN, preview={"cost": 1})
    shown = json.loads(result_text(method_reply("x/y", answer, STAMP)))
    assert shown["_meta"]["io.detent/preview"] == {"cost": 1}


def test_a_method_without_result_is_an_internal_error() -> None:
    """What a server said was no object."""
    assert error_of(method_reply("x/y", answer_with(b"[]"), None))["code"] == -32603


def test_an_input_request_carries_our_own_state() -> None:
    """The tool's state stays sealed inside of it; the requests go as they came."""
    raw = b'{"resultType":"input_required","inputRequests":{"k":{"n":1.50}},"requestState":"own"}'
    reply = input_required(answer_with(raw, outcome=Outcome.INPUT_REQUIRED), "sealed", STAMP)
    shown = json.loads(result_text(reply))
    assert (shown["resultType"], shown["requestState"]) == ("input_required", "sealed")
    assert b'"inputRequests":{"k":{"n":1.50}}' in result_text(reply)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (RpcReply(result=b"{}"), 200),
        (RpcReply(error=b'{"code":-32601,"message":""}'), 404),
        (RpcReply(error=b'{"code":-32021,"message":""}'), 400),
        (RpcReply(error=b'{"code":-32011,"message":""}'), 200),
        (RpcReply(error=b"[]"), 200),
    ],
)
def test_some_errors_have_a_status_of_their_own(reply: RpcReply, status: int) -> None:
    """Those the stateless era names."""
    assert status_of(reply) == status
