import asyncio
from typing import Any

import pytest

from proxy.errors import BadRequest, StoreUnavailable
from proxy.model.call import Door, ToolCall
from proxy.model.ledger import IntentState, Outcome
from proxy.model.step import Step
from proxy.pipeline import settle as settle_module


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries in milliseconds."""
    monkeypatch.setattr(settle_module, "RETRY_S", 0.01)
    monkeypatch.setattr(settle_module, "AGAIN_S", (0.01, 0.3))


def break_settle(house: Any, times: int) -> None:
    """Let the ledger refuse that many settlements."""
    settle, left = house.store.settle, [times]

    async def failing(settlement: Any) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise StoreUnavailable("disk full")
        await settle(settlement)

    house.store.settle = failing


async def test_an_outcome_the_ledger_refuses_is_written_when_it_can_be(house: Any) -> None:
    """The agent hears that the outcome is not recorded; it is recorded later all the same."""
    break_settle(house, 3)
    answer = await house.call()
    assert (answer.outcome, answer.http) == (Outcome.UNKNOWN, 503)
    async with asyncio.timeout(2):
        while (await house.store.steps(None, (), 1))[0].state is not IntentState.DONE:
            await asyncio.sleep(0.005)


async def test_a_reservation_that_is_written_late_is_closed(house: Any) -> None:
    """The agent was told that nothing happened, so nothing stays held."""
    reserve = house.store.reserve

    async def late(*given: Any) -> None:
        house.writing = asyncio.get_running_loop().call_later(
            0.1, lambda: asyncio.ensure_future(reserve(*given))
        )
        raise StoreUnavailable("no answer in time")

    house.store.reserve = late
    answer = await house.call()
    assert (answer.outcome, answer.http) == (Outcome.DENIED, 503)
    assert await house.store.steps(None, (), 1) == ()
    states = set[IntentState]()
    async with asyncio.timeout(5):
        while IntentState.FAILED not in states:
            states |= {step.state for step in await house.store.steps(None, (), 1)}
            await asyncio.sleep(0.005)
    assert house.tool.calls == []


async def test_retries_are_bounded(
    house: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """What is never taken stays open and becomes unknown at the next start."""
    monkeypatch.setattr(settle_module, "RETRIES", 2)
    break_settle(house, 100)
    await house.call()
    async with asyncio.timeout(2):
        while "outcome not recorded" not in caplog.text or house.stages.settle._retries:
            await asyncio.sleep(0.005)


async def test_every_refusal_has_one_audit_record(house: Any) -> None:
    """With its reasons, its tool and the hash of its arguments, never their values."""
    await house.call("mystery", arguments={"path": "s3cret"})
    (record,) = await house.store.decisions(10, ("*",))
    assert (record.verdict, record.resource_id) == ("deny", "repo/mystery")
    assert [given.id for given in record.reasons] == ["unknown-tool"]
    assert "s3cret" not in repr(record)


async def test_an_allowed_call_has_one_audit_record(house: Any) -> None:
    """Written with the intent; its id is in the answer."""
    answer = await house.call()
    (record,) = await house.store.decisions(10, ("*",))
    assert (record.decision_id, record.verdict) == (answer.decision_id, "allow")


async def test_a_preview_is_recorded_and_shows_the_exact_call(house: Any) -> None:
    """Canonical arguments, hash, cost, revision; no intent and no hold."""
    answer = await house.call(dry_run=True)
    assert answer.preview["arguments_canonical"] == '{"path":"a"}'
    assert answer.preview["cost"] == {"risk": 5}
    assert (await house.store.decisions(10, ("*",)))[0].dry_run
    assert await house.store.steps(None, (), 10) == ()
    assert answer.budget.held == 0


@pytest.mark.parametrize("known", [True, False])
async def test_a_malformed_request_is_recorded(house: Any, known: bool) -> None:
    """With who sent it, when that is known."""
    caller = await house.caller() if known else None
    await house.pipeline.reject(BadRequest("duplicate-key", "A key twice."), caller, Door.MCP)
    (record,) = await house.store.decisions(10, ("*",))
    assert record.agent == ("loop" if known else "")
    assert (record.resource_id, record.reasons[0].id) == ("door:mcp", "duplicate-key")


async def test_a_step_without_a_view_has_no_budget_to_show(house: Any) -> None:
    """Nothing is made up."""
    caller = await house.caller()
    call = ToolCall("repo", "read_file", b"{}", Door.CALLS)
    step = Step("stp", call, caller.principal, caller.session, 0, caller.session.mode)
    assert settle_module._budget_after(step, Outcome.DONE, 5) is None
