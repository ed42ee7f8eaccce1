import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import Refused
from proxy.ingress.mcp_results import call_reply, members_of, tools_result
from proxy.model.ledger import Outcome
from proxy.model.reasons import REASONS
from proxy.model.step import Answer
from tests.harness.doors import tool

STAMP = {"io.modelcontextprotocol/serverInfo": {"name": "detent", "version": "1"}}
JSON_OBJECTS = st.dictionaries(
    st.text(max_size=4), st.none() | st.integers() | st.text(max_size=4) | st.lists(st.booleans())
)


def answer_with(result: bytes | None = None, **more: Any) -> Answer:
    fields = {"outcome": Outcome.DONE, "decision_id": "dec_1", "policy_revision": "git:1"} | more
    return Answer("stp_1", "allow", fields.pop("reasons", ()), result=result, **fields)


def refusal(reason_id: str, outcome: Outcome = Outcome.DENIED) -> Answer:
    reasons = Refused.because(reason_id).refusal.reasons
    return answer_with(outcome=outcome, reasons=reasons)


def result_of(answer: Answer, stamp: dict[str, Any] | None = None) -> Any:
    return json.loads(call_reply(1, answer, stamp))["result"]


def test_a_tools_result_goes_through_as_it_came() -> None:
    """Every member but `_meta` and `resultType` keeps its own spelling."""
    raw = b'{"content": [ ],\n "structuredContent":{"n":1.50,"big":12345678901234567890}}'
    reply = call_reply(1, answer_with(raw), None)
    assert b'"content":[ ]' in reply
    assert b'"structuredContent":{"n":1.50,"big":12345678901234567890}' in reply


def test_the_stateless_era_has_its_result_type_and_stamp() -> None:
    """Whatever the upstream's own era said."""
    raw = b'{"content":[],"resultType":"input_required"}'
    result = result_of(answer_with(raw), STAMP)
    assert result["resultType"] == "complete"
    assert result["_meta"].items() >= STAMP.items()
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
    reply = call_reply(1, answer_with(raw, is_error=is_error), STAMP)
    result = json.loads(reply)["result"]
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
    error = json.loads(call_reply(1, refusal(reason_id), STAMP))["error"]
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


TOOLS = (tool("repo", "log", outputSchema={"type": "object"}), tool("re__po", "log"))


def test_a_servers_own_list_has_plain_names() -> None:
    """And definitions as the server gave them."""
    listed = tools_result(TOOLS, aggregated=False, with_output=True, stamp=None)
    assert json.loads(listed) == {"tools": [json.loads(had.definition.raw) for had in TOOLS]}


def test_the_aggregated_list_joins_names() -> None:
    """Tools whose joined name would mean another are left out."""
    listed = json.loads(tools_result(TOOLS, aggregated=True, with_output=True, stamp=STAMP))
    assert [shown["name"] for shown in listed["tools"]] == ["repo__log"]
    assert (listed["resultType"], listed["ttlMs"], listed["cacheScope"]) == (
        "complete",
        0,
        "private",
    )
    assert listed["_meta"] == STAMP


def test_a_dry_run_shows_no_output_schema() -> None:
    """A preview would not fit it."""
    listed = json.loads(tools_result(TOOLS, aggregated=False, with_output=False, stamp=None))
    assert all("outputSchema" not in shown for shown in listed["tools"])


@given(JSON_OBJECTS, st.sampled_from([None, 1, "\t"]))
def test_members_are_split_at_the_top(value: dict[str, Any], indent: Any) -> None:
    """Their texts are JSON of their values, whatever white space stands between."""
    members = members_of(json.dumps(value, indent=indent).encode())
    assert members is not None
    assert {key: json.loads(text) for key, text in members.items()} == value


@pytest.mark.parametrize("raw", [b"", b" ", b"[]", b"1", b"{", b'{"a"', b'{"a":1', b"\xff", b"{]"])
def test_what_is_no_object_has_no_members(raw: bytes) -> None:
    """Broken objects neither."""
    assert members_of(raw) is None
