import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.decision import Reason
from proxy.model.ledger import Outcome
from proxy.model.session import BudgetView
from proxy.model.step import Answer
from proxy.pipeline.document import outcome_document, parse_document

ANSWER = Answer(
    step_id="stp_1",
    verdict="allow",
    reasons=(Reason("ok", 'Says "yes".'),),
    outcome=Outcome.DONE,
    result=b'{"content":[{"text":"\xc3\xa9"}]}',
    risk=5,
    budget=BudgetView(100, 5, 0),
    policy_revision="sha256:r",
    decision_id="dec_1",
    epoch=3,
)


def test_a_document_holds_the_tools_own_json() -> None:
    """The result goes in as it came."""
    document = outcome_document(ANSWER)
    assert document.endswith(b',"result":{"content":[{"text":"\xc3\xa9"}]}}')
    assert json.loads(document)["budget"]["risk"]["used"] == 5


def test_a_stored_document_gives_the_same_answer_again() -> None:
    """A replay loses nothing."""
    again = parse_document(outcome_document(ANSWER))
    assert json.loads(outcome_document(again)) == json.loads(outcome_document(ANSWER))


@pytest.mark.parametrize(
    "raw", [b'{"n": 1.0, "m": 1E2}', b'["\\ud800"]', b'{"result":{"result":1}}']
)
def test_a_replayed_result_keeps_its_spelling(raw: bytes) -> None:
    """The numbers and escapes the tool wrote, whatever else it is called."""
    again = parse_document(outcome_document(replace(ANSWER, result=raw)))
    assert (again.result, again.decision_id) == (raw, "dec_1")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_an_answer_without_result_or_budget_survives(outcome: Outcome) -> None:
    """A refusal has neither."""
    bare = Answer("stp_1", "deny", (), outcome, preview={"a": 1} if outcome == "dry_run" else None)
    again = parse_document(outcome_document(bare))
    assert (again.outcome, again.result, again.budget) == (outcome, None, None)


@given(st.recursive(st.none() | st.booleans() | st.text(), st.lists))
def test_any_result_survives(result: object) -> None:
    """Whatever JSON the tool answers."""
    answer = Answer("stp_1", "allow", (), Outcome.DONE, result=json.dumps([result]).encode())
    parsed = parse_document(outcome_document(answer)).result
    assert parsed is not None
    assert json.loads(parsed) == [result]


def test_a_json_rpc_error_is_marked_as_one() -> None:
    """A replay answers with the same error."""
    error = replace(ANSWER, result=b'{"code":-1,"message":"x"}', is_error=True, is_rpc_error=True)
    assert json.loads(outcome_document(error))["is_rpc_error"] is True
    assert parse_document(outcome_document(error)).is_rpc_error


def test_a_held_call_says_where_its_approval_is() -> None:
    """Id, expiry and state; any other answer has no such member."""
    approval = {"id": "apr_1", "expires_at": "2026-11-22T09:15:00Z", "state": "pending"}
    held = replace(ANSWER, result=None, approval=approval)
    assert json.loads(outcome_document(held))["approval"] == approval
    assert "approval" not in json.loads(outcome_document(ANSWER))
