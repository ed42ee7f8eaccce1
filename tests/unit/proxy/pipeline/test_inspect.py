from typing import Any

import pytest

from proxy.model.finding import Finding, FindingAction, Severity
from proxy.model.ledger import Outcome

TOUCH = Finding("canary", Severity.CRITICAL, FindingAction.DENY_AND_LOCK, "aws", "canary aws")
NOTE = Finding("canary", Severity.INFO, FindingAction.NOTE, "odd", "something odd")


async def test_a_canary_in_a_call_denies_locks_and_alerts(house: Any) -> None:
    """Nothing reaches the tool; the agent is locked in every session."""
    house.eye.call_finding = TOUCH
    answer = await house.call()
    assert answer.reasons[0].id == "canary-touched"
    assert house.tool.received == []
    (alert,) = house.alerts
    assert (alert.agent, alert.step_id) == ("loop", answer.step_id)
    house.eye.call_finding = None
    assert (await house.call()).reasons[0].id == "agent-locked"


async def test_a_canary_in_a_result_is_kept_from_the_agent(house: Any) -> None:
    """The call is done and stays done; its result is withheld."""
    house.eye.result_finding = TOUCH
    answer = await house.call()
    assert answer.reasons[0].id == "canary-touched"
    assert (answer.outcome, answer.result) == (Outcome.DONE, None)
    assert len(house.tool.received) == 1
    assert (await house.call()).reasons[0].id == "agent-locked"


@pytest.mark.parametrize("where", ["call_finding", "result_finding"])
async def test_a_note_alerts_and_stops_nothing(house: Any, where: str) -> None:
    """Not every finding denies."""
    setattr(house.eye, where, NOTE)
    assert (await house.call()).outcome is Outcome.DONE
    assert [alert.message for alert in house.alerts] == ["something odd"]
