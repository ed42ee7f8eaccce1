import asyncio
import json
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.call import Door, ToolCall
from proxy.model.finding import Finding, FindingAction, Severity
from proxy.model.hook import HookKey, ToolUse
from proxy.model.kill import GLOBAL
from proxy.model.ledger import IntentState, Outcome
from proxy.pipeline import permit
from tests.harness.hooked import KEY, ask, caller_of, points, states, tell, told


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Outcome.DONE, IntentState.DONE), (Outcome.FAILED, IntentState.FAILED)],
)
async def test_a_tool_use_is_settled_as_the_agent_tells_it(
    house: Any, outcome: Outcome, state: IntentState
) -> None:
    """Its points are spent either way: a failure is only the agent's word."""
    await ask(house)
    answer = await tell(house, told(outcome=outcome))
    assert (answer.verdict, answer.reasons, answer.result) == ("allow", (), None)
    assert await states(house) == [(state, "")]
    assert await points(house) == (5, 0)


async def test_telling_it_again_changes_nothing(house: Any) -> None:
    """Neither the state nor the points."""
    await ask(house)
    await tell(house, told(outcome=Outcome.FAILED))
    await tell(house, told())
    assert await states(house) == [(IntentState.FAILED, "")]
    assert await points(house) == (5, 0)


async def test_monitors_see_the_result_and_stop_the_agent(house: Any) -> None:
    """A canary in what a tool has read: the agent is locked and must not go on."""
    await ask(house)
    house.eye.result_finding = Finding(
        "canary", Severity.CRITICAL, FindingAction.DENY_AND_LOCK, "bait", "seen"
    )
    answer = await tell(house, told())
    assert (answer.verdict, answer.reasons[0].id) == ("deny", "canary-touched")
    assert await states(house) == [(IntentState.DONE, "canary-touched")]
    assert answer.result is None


async def test_a_secret_in_a_result_is_redacted_and_stops_the_agent(house: Any) -> None:
    """The answer has what the agent may see instead."""
    await ask(house)
    shown = json.dumps({"stdout": f"TOKEN={house.token}"}).encode()
    answer = await tell(house, told(result=shown))
    assert (answer.verdict, answer.reasons[0].id) == ("deny", "agent-locked")
    assert answer.result is not None
    assert house.token.encode() not in answer.result
    assert json.loads(answer.result)["stdout"].startswith("TOKEN=")


async def test_a_kill_stops_the_agent_when_its_tool_is_over(house: Any) -> None:
    """What happened is written down first."""
    await ask(house)
    await house.kill_switch.kill((GLOBAL,), "oncall", "now")
    caller = await house.pipeline.hooked.find(await house.caller(), KEY)
    answer = await house.pipeline.permits.conclude(caller, told())
    assert (answer.verdict, answer.reasons[0].id, answer.http) == ("deny", "killed", 503)
    assert (await states(house))[0][0] is IntentState.DONE


async def test_other_arguments_than_those_decided_on_are_told_to_people(house: Any) -> None:
    """Another hook, or the person, changed them afterwards."""
    await ask(house)
    await tell(house, told(command="rm -rf /"))
    assert await states(house) == [(IntentState.DONE, permit.OTHER_ARGUMENTS)]
    (alert,) = house.alerts
    assert (alert.kind, alert.severity) == (permit.UNASKED, Severity.WARNING)
    assert "rm -rf" not in alert.message


@pytest.mark.parametrize("use", [told("t2"), told(tool="Read"), told(client="codex")])
async def test_a_tool_that_ran_unasked_is_told_to_people(house: Any, use: ToolUse) -> None:
    """It is in the audit, and monitors look at its result; the open step stays open."""
    await ask(house)
    answer = await tell(house, use)
    assert answer.verdict == "allow"
    assert [alert.kind for alert in house.alerts] == [permit.UNASKED]
    assert await states(house) == [(IntentState.SENDING, "")]
    records = await house.store.decisions(10, ("*",))
    assert records[0].reasons[0].id == permit.UNASKED


async def test_people_are_told_once_a_session(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent cannot drown them; what is remembered of it is bounded."""
    for use in ("t1", "t2"):
        await tell(house, told(use))
    assert len(house.alerts) == 1
    monkeypatch.setattr(permit, "_MAX_TOLD", 1)
    other = await house.pipeline.hooked.enter(await house.caller(), HookKey("claude-code", "s2"))
    await house.pipeline.permits.conclude(other, told("t3"))
    assert len(house.alerts) == 2


async def test_a_tool_use_nobody_told_of_is_unknown_and_spent(house: Any) -> None:
    """The person said no, or the answer was lost: nobody here can tell."""
    await ask(house)
    caller = await caller_of(house)
    await house.pipeline.permits.close(caller, "codex", ("t1",))
    assert await states(house) == [(IntentState.SENDING, "")]
    await house.pipeline.permits.close(caller, "claude-code", ("t0", "t1", "t1"))
    assert await states(house) == [(IntentState.UNKNOWN, permit.NO_RESULT)]
    assert await points(house) == (5, 0)


async def test_what_was_told_is_not_closed(house: Any) -> None:
    """A batch lists every tool use of its turn."""
    await ask(house)
    await tell(house, told())
    await house.pipeline.permits.close(await caller_of(house), "claude-code", ("t1",))
    assert await states(house) == [(IntentState.DONE, "")]


async def test_the_end_of_a_session_closes_what_it_left_open(house: Any) -> None:
    """Calls that other doors carry for it settle themselves."""
    await ask(house)
    caller = await caller_of(house)
    house.tool.hang_after = asyncio.Event()
    call = ToolCall("repo", "read_file", b'{"path":"a"}', Door.MCP)
    carried = asyncio.create_task(house.pipeline.run(caller, call))
    while not house.tool.received:
        await asyncio.sleep(0.001)
    await house.pipeline.permits.close_all(caller, "claude-code")
    left = {row.intent.server: row.state for row in await house.store.steps(None, (), 10)}
    assert left == {"claude-code": IntentState.UNKNOWN, "repo": IntentState.SENDING}
    house.tool.hang_after.set()
    await carried


async def test_an_agent_is_told_whether_it_may_go_on(house: Any) -> None:
    """By the first stage of the walk alone."""
    caller = await caller_of(house)
    await house.pipeline.check(caller)
    await house.kill_switch.kill((GLOBAL,), "oncall", "now")
    with pytest.raises(Refused, match="killed"):
        await house.pipeline.check(caller)
