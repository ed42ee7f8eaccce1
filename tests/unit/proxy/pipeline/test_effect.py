import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.errors import OutcomeUnknown, StoreUnavailable, UpstreamFailed
from proxy.model.call import Door, Round, ToolCall
from proxy.model.kill import GLOBAL, KillVerdict
from proxy.model.ledger import IntentState, Outcome
from proxy.pipeline import effect
from proxy.upstream.base import UpstreamResult
from tests.unit.proxy.pipeline.conftest import limits


async def state_of(house: Any, step_id: str) -> IntentState:
    rows = await house.store.steps(None, (), 100)
    states: list[IntentState] = [row.state for row in rows if row.intent.step_id == step_id]
    return states[0]


@pytest.mark.parametrize(
    ("answer", "outcome", "state", "http", "reason"),
    [
        (UpstreamResult(b"{}"), Outcome.DONE, IntentState.DONE, 200, "role-allows-tool"),
        (UpstreamResult(b"{}", True), Outcome.FAILED, IntentState.FAILED, 200, "role-allows-tool"),
        (UpstreamFailed("x"), Outcome.FAILED, IntentState.FAILED, 502, "upstream-failed"),
        (OutcomeUnknown("x"), Outcome.UNKNOWN, IntentState.UNKNOWN, 504, "outcome-unknown"),
    ],
)
async def test_every_way_out_closes_the_ledger(
    house: Any, answer: Any, outcome: Outcome, state: IntentState, http: int, reason: str
) -> None:
    """The outcome in the ledger is the outcome in the answer."""
    house.tool.answer = answer
    given = await house.call()
    assert (given.outcome, given.http, given.reasons[0].id) == (outcome, http, reason)
    assert await state_of(house, given.step_id) is state


@pytest.mark.parametrize(
    ("task_id", "detail"),
    [
        (None, ""),
        ("t-1", "task:t-1"),
        ("", "task"),
        ("a b", "task"),
        ("a\nstate=failed", "task"),
        ("x" * 201, "task"),
    ],
)
async def test_a_task_that_goes_on_is_marked_in_the_ledger(
    house: Any, task_id: str | None, detail: str
) -> None:
    """What is done is its creation; what it is called is told when it is plain (A69)."""
    house.tool.answer = UpstreamResult(b'{"resultType":"task"}', task_id=task_id)
    given = await house.call()
    (row,) = await house.store.steps(None, (), 100)
    assert (given.outcome, row.state, row.detail) == (Outcome.DONE, IntentState.DONE, detail)


async def test_a_task_whose_creation_is_withheld_goes_on_all_the_same(house: Any) -> None:
    """The agent does not hear of it; operators do."""
    asks = b'{"resultType":"task","taskId":"t-1","inputRequests":{"k":{"method":"x/ask"}}}'
    house.tool.answer = UpstreamResult(asks, task_id="t-1")
    given = await house.call()
    (row,) = await house.store.steps(None, (), 100)
    assert (given.result, row.detail.split()[0]) == (None, "task:t-1")


@pytest.mark.parametrize(
    ("answer", "used", "held"),
    [(UpstreamResult(b"{}"), 5, 0), (UpstreamFailed("x"), 0, 0), (OutcomeUnknown("x"), 0, 5)],
)
async def test_done_is_used_failed_is_free_unknown_stays_held(
    house: Any, answer: Any, used: int, held: int
) -> None:
    """What is answered is what the ledger holds (I10)."""
    house.tool.answer = answer
    given = await house.call()
    assert (given.budget.used, given.budget.held) == (used, held)
    await house.call("read_file")
    seen = house.engine.inputs[-1]["context"]["session"]["budget"]["risk"]
    assert (seen["used"], seen["held"]) == (used, held)


async def cut(house: Any, *, sent: bool) -> tuple[Any, Any]:
    """Kill everything while a call waits before or after its send; return answer and report."""
    setattr(house.tool, "hang_after" if sent else "hang_before", asyncio.Event())
    call = asyncio.create_task(house.call())
    async with asyncio.timeout(2):
        while not (house.tool.received if sent else await house.store.steps(None, (), 1)):
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    report = await house.kill_switch.kill((GLOBAL,), "oncall", "runaway")
    return await call, report


async def test_a_call_killed_after_its_send_is_unknown(house: Any) -> None:
    """Closing a connection does not stop the effect, so nobody claims it did."""
    answer, report = await cut(house, sent=True)
    assert (answer.outcome, answer.http) == (Outcome.UNKNOWN, 503)
    assert [given.id for given in answer.reasons] == ["killed", "outcome-unknown"]
    assert await state_of(house, answer.step_id) is IntentState.UNKNOWN
    verdicts = await house.kill_switch.verdicts(report.epoch)
    assert verdicts == {answer.step_id: KillVerdict.UNKNOWN}


async def test_a_call_killed_before_its_send_never_happened(house: Any) -> None:
    """Its reservation is closed and costs nothing."""
    answer, report = await cut(house, sent=False)
    assert (answer.outcome, answer.http) == (Outcome.DENIED, 503)
    assert house.tool.received == []
    assert await state_of(house, answer.step_id) is IntentState.FAILED
    verdicts = await house.kill_switch.verdicts(report.epoch)
    assert verdicts == {answer.step_id: KillVerdict.NEVER_DISPATCHED}


@pytest.mark.parametrize(
    ("sent", "outcome", "state", "reasons"),
    [
        (True, Outcome.UNKNOWN, IntentState.UNKNOWN, ["draining", "outcome-unknown"]),
        (False, Outcome.DENIED, IntentState.FAILED, ["draining"]),
    ],
)
async def test_a_call_that_outlasts_the_drain_is_answered_and_written_down(
    house: Any, sent: bool, outcome: Outcome, state: IntentState, reasons: list[str]
) -> None:
    """As what is known of it, and as no kill."""
    setattr(house.tool, "hang_after" if sent else "hang_before", asyncio.Event())
    call = asyncio.create_task(house.call())
    while not (house.tool.received if sent else await house.store.steps(None, (), 1)):
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    house.flights.give_up()
    answer = await call
    assert (answer.outcome, answer.http) == (outcome, 503)
    assert [given.id for given in answer.reasons] == reasons
    assert await state_of(house, answer.step_id) is state


@pytest.mark.parametrize(
    ("sent", "state"), [(True, IntentState.UNKNOWN), (False, IntentState.FAILED)]
)
async def test_a_client_that_goes_away_leaves_a_closed_ledger(
    house: Any, sent: bool, state: IntentState
) -> None:
    """The task ends cancelled, after what is known was written."""
    setattr(house.tool, "hang_after" if sent else "hang_before", asyncio.Event())
    call = asyncio.create_task(house.call())
    while not (house.tool.received if sent else await house.store.steps(None, (), 1)):
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    (row,) = await house.store.steps(None, (), 1)
    assert row.state is state


async def test_a_kill_while_the_answer_is_settled_says_done(house: Any) -> None:
    """The tool had answered: the verdict is what happened, and the agent gets its result."""
    kills: list[asyncio.Task[Any]] = []
    settle = house.store.settle

    async def kill_then_settle(settlement: Any) -> None:
        work = house.kill_switch.kill((GLOBAL,), "oncall", "now")
        kills.append(asyncio.create_task(work))
        await asyncio.sleep(0.01)
        await settle(settlement)

    house.store.settle = kill_then_settle
    answer = await house.call()
    report = await kills[0]
    assert answer.outcome is Outcome.DONE
    assert await house.kill_switch.verdicts(report.epoch) == {answer.step_id: KillVerdict.DONE}


async def test_a_tool_that_wants_input_has_not_acted(house: Any) -> None:
    """The budget is free again, the agent gets the tool's own words."""
    house.tool.answer = UpstreamResult(b'{"inputRequests":{}}', needs_input=True)
    answer = await house.call()
    assert (answer.outcome, answer.result) == (Outcome.INPUT_REQUIRED, b'{"inputRequests":{}}')
    (row,) = await house.store.steps(None, (), 10)
    assert (row.state, row.detail) == (IntentState.FAILED, "input-required")
    session = (await house.caller()).session
    view = await house.store.view(session, limits("acme", "loop"), datetime.now(UTC))
    assert (view.budget.used, view.budget.held) == (0, 0)


async def test_a_further_round_is_the_same_logical_step(house: Any) -> None:
    """It has the number of the first one, and a key of the client's claims each round apart."""
    house.tool.answer = UpstreamResult(b'{"inputRequests":{}}', needs_input=True)
    call = ToolCall("repo", "read_file", b'{"path":"a"}', Door.MCP, idempotency_key="k")
    first = await house.pipeline.run(await house.caller(), call)
    house.tool.answer = UpstreamResult(b'{"content":[]}')
    again = replace(call, round=Round(first.step_id, 2, b"{}", None))
    second = await house.pipeline.run(await house.caller(), again)
    assert (second.outcome, second.result) == (Outcome.DONE, b'{"content":[]}')
    assert {row.number for row in await house.store.steps(None, (), 10)} == {1}


async def test_a_json_rpc_error_of_a_tool_is_its_own_answer(house: Any) -> None:
    """The agent gets it as the tool wrote it."""
    error = b'{"code":-32002,"message":"no such resource"}'
    house.tool.answer = UpstreamResult(error, is_error=True, is_rpc_error=True)
    answer = await house.call()
    assert (answer.outcome, answer.result, answer.is_rpc_error) == (Outcome.FAILED, error, True)


async def full(*_: object) -> None:
    raise StoreUnavailable("disk full")


async def test_a_call_the_ledger_fails_before_its_send_is_closed(house: Any) -> None:
    """Nothing was sent: its points are given back, and no intent stays open."""
    house.store.mark_sending = full
    answer = await house.call("read_file")
    assert (answer.http, answer.reasons[0].id) == (503, "store-unavailable")
    assert house.tool.received == []
    assert await state_of(house, answer.step_id) is IntentState.FAILED


async def test_a_call_the_ledger_fails_after_its_send_is_unknown(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the tool answered cannot be looked at: that it did something can be."""
    monkeypatch.setattr(effect, "_shown", full)
    answer = await house.call()
    assert (answer.http, answer.reasons[0].id) == (503, "store-unavailable")
    assert await state_of(house, answer.step_id) is IntentState.UNKNOWN
