"""Rows of approvals, there and back."""

import pytest

from proxy.model.approval import Approval, ApprovalState
from proxy.stores.approval_rows import approval_of, approval_values
from proxy.stores.rows import micros
from tests.harness.approving import LIFETIME_S, question
from tests.harness.ledger import NOW, after


def read(state: str, at_us: int, overtaken: bool = False) -> Approval:
    """Return the question as a row of it would be read."""
    *values, _scopes = approval_values(question())
    decided = ("", None, "") if state == "pending" else ("oncall", micros(NOW), "fine")
    return approval_of((1, *values, *decided, state, overtaken), at_us)


def test_a_question_comes_back() -> None:
    """Every field."""
    assert read("pending", micros(NOW)) == question()


@pytest.mark.parametrize(
    ("state", "late"),
    [("pending", "expired"), ("approved", "expired"), ("denied", "denied"), ("used", "used")],
)
def test_what_is_not_settled_expires(state: str, late: str) -> None:
    """With its time, or when a kill overtook it."""
    assert read(state, micros(NOW)).state is ApprovalState(state)
    assert read(state, micros(after(LIFETIME_S))).state is ApprovalState(late)
    assert read(state, micros(NOW), overtaken=True).state is ApprovalState(late)
