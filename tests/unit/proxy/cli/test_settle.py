import json
from typing import Any

import pytest

from tests.harness.told_port import Port, Run

STUCK: dict[str, Any] = {
    "step_id": "stp_1",
    "tenant": "acme",
    "agent": "loop",
    "tool": "mail/send",
    "risk": 7,
    "state": "stuck",
    "at": "2026-11-22T09:00:00.000Z",
    "detail": "recovery: opaque",
}
REASON = ("--reason", "asked the mail server")


def test_stuck_steps_are_listed(operate: Run, port: Port) -> None:
    """Each with what a person has to know to look for it."""
    port.answers({"intents": [STUCK]})
    result = operate("stuck", COLUMNS="200")
    assert result.exit_code == 0
    assert port.asked == [("GET", "/v1/intents?state=stuck", "Bearer dto_x", None)]
    for part in ("stp_1", "acme/loop", "mail/send", "7", "opaque"):
        assert part in result.output


def test_the_list_is_there_for_machines(operate: Run, port: Port) -> None:
    """As the port answers it."""
    port.answers({"intents": [STUCK]})
    assert json.loads(operate("stuck", "--json").output) == {"intents": [STUCK]}


@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_a_step_is_settled(operate: Run, port: Port, outcome: str) -> None:
    """As what it was, with the reason."""
    port.answers(STUCK | {"state": outcome})
    result = operate("settle", "stp_1", f"--{outcome}", *REASON)
    assert result.output.strip() == f"{outcome}: acme/loop mail/send, 7 points"
    body = {"outcome": outcome, "reason": REASON[1]}
    assert port.asked == [("POST", "/v1/intents/stp_1/settle", "Bearer dto_x", body)]


def test_what_was_settled_is_there_for_machines(operate: Run, port: Port) -> None:
    """The whole step."""
    port.answers(STUCK | {"state": "done"})
    result = operate("settle", "stp_1", "--done", *REASON, "--json")
    assert json.loads(result.output)["state"] == "done"


@pytest.mark.parametrize("options", [REASON, ("--done",), ("--done", "--failed", *REASON)])
def test_an_outcome_and_a_reason_have_to_be_given(
    operate: Run, port: Port, options: tuple[str, ...]
) -> None:
    """Nothing is asked without them."""
    assert operate("settle", "stp_1", *options).exit_code == 2
    assert port.asked == []
