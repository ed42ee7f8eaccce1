"""Reservations and settlements as the database is asked."""

import json
from dataclasses import replace

import pytest

from proxy.model.ledger import Hold, IntentState, ReserveStatus
from proxy.stores.accounts import horizon_us
from proxy.stores.postgres.intents import asked_of, reserved_of, settled_of
from proxy.stores.rows import micros
from tests.harness.approving import question, reservation
from tests.harness.ledger import NOW, WINDOW_S, Call, settled


def test_a_reservation_is_asked_for_whole() -> None:
    """What it may name and does not is null."""
    asked = json.loads(asked_of(Call(key="k", credential=True, labels=("x",)).reservation(), 7))
    assert (asked["instance"], asked["sane"], asked["approval"]) == (7, True, None)
    assert asked["claim"]["key"] == "k"
    assert asked["credential"][0] == "lease-stp1"
    assert asked["holds"][1]["horizon_us"] == horizon_us(WINDOW_S, micros(NOW))
    assert asked["holds"][0]["horizon_us"] is None
    assert asked["held"] == [["session:ses1", 5, None], ["agent:acme/loop", 5, WINDOW_S]]


def test_an_approval_is_named_with_what_it_is_bound_to() -> None:
    """Who calls and what is called is the intent's own."""
    asked = json.loads(asked_of(reservation(question()), 1))
    assert asked["approval"].keys() == {"id", "request_sha256", "tool_pin", "policy_revision"}


@pytest.mark.parametrize("risk", [-1, 10**10, float("nan")])
def test_absurd_holds_do_not_travel(risk: int) -> None:
    """They are refused by a flag; nothing of them could be stored."""
    absurd = replace(Call().reservation(), holds=(Hold("session:ses1", 10, risk),))
    asked = json.loads(asked_of(absurd, 1))
    assert (asked["sane"], asked["holds"], asked["held"]) == (False, [], [])


def test_a_settlement_is_an_outcome() -> None:
    """Nothing else settles a step."""
    assert json.loads(settled_of(settled(state=IntentState.FAILED, spent=True)))["spent"] is True
    with pytest.raises(ValueError, match="done, failed or unknown"):
        settled_of(settled(state=IntentState.SENDING))


def test_an_answer_is_read() -> None:
    """Status, number and the stored answer."""
    reserved = reserved_of(("replay", 3, b"{}"))
    assert (reserved.status, reserved.number, reserved.answer) == (ReserveStatus.REPLAY, 3, b"{}")
