import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.model.call import Door, ToolCall
from proxy.model.finding import Finding, FindingAction, Severity
from proxy.model.hook import HookKey, ToolUse, claim_of
from proxy.model.kill import GLOBAL, KillVerdict
from proxy.model.ledger import IntentState, Limits, Outcome
from proxy.model.step import Answer
from proxy.pipeline import permit
from proxy.pipeline.authenticate import Caller

KEY = HookKey("claude-code", "s1")
LIMITS = Limits(session_risk=100, agent_risk=200, window_s=3600)
MASK = {"type": "mask", "path": "/arguments/command"}


async def caller_of(house: Any) -> Caller:
    entered = await house.pipeline.hooked.enter(await house.caller(), KEY)
    assert isinstance(entered, Caller)
    return entered


def bash(use: str = "t1", command: str = "ls", **changes: Any) -> ToolCall:
    arguments = json.dumps({"command": command}, separators=(",", ":")).encode()
    call = ToolCall("claude-code", "Bash", arguments, Door.HOOKS, idempotency_key=claim_of(use))
    return replace(call, **changes)


def told(use: str = "t1", command: str = "ls", **changes: Any) -> ToolUse:
    arguments = bash(use, command).arguments
    given = ToolUse(use, "claude-code", "Bash", arguments, b'{"stdout":"a"}', Outcome.DONE)
    return replace(given, **changes)


async def ask(house: Any, call: ToolCall | None = None, **more: Any) -> Answer:
    answer = await house.pipeline.permit(await caller_of(house), call or bash(), **more)
    assert isinstance(answer, Answer)
    return answer


async def tell(house: Any, use: ToolUse) -> Answer:
    answer = await house.pipeline.permits.conclude(await caller_of(house), use)
    assert isinstance(answer, Answer)
    return answer


async def states(house: Any) -> list[tuple[IntentState, str]]:
    return [(row.state, row.detail) for row in await house.store.steps(None, (), 10)]


async def points(house: Any) -> tuple[int, int]:
    """Return the points the session has used and holds."""
    view = await house.store.view((await caller_of(house)).session, LIMITS, datetime.now(UTC))
    return view.budget.used, view.budget.held


async def test_a_tool_that_may_run_has_an_open_intent_before_it_does(house: Any) -> None:
    """Its points are held, nothing is sent anywhere, no credential is lent."""
    answer = await ask(house)
    assert (answer.outcome, answer.verdict, answer.http) == (Outcome.PERMITTED, "allow", 200)
    assert answer.arguments == bash().arguments
    assert await states(house) == [(IntentState.SENDING, "")]
    assert await points(house) == (0, 5)
    assert (house.tool.received, house.broker.minted) == ([], [])


async def test_a_refusal_is_recorded_and_reserves_nothing(house: Any) -> None:
    """The reasons are the policy's."""
    house.engine.decision |= {"verdict": "deny", "reasons": [{"id": "no", "message": "No."}]}
    answer = await ask(house)
    assert (answer.outcome, [given.id for given in answer.reasons]) == (Outcome.DENIED, ["no"])
    assert await states(house) == []
    (record,) = await house.store.decisions(10, ("*",))
    assert (record.verdict, record.resource_id) == ("deny", "claude-code/Bash")


async def test_a_tool_use_that_two_hooks_ask_about_is_one_step(house: Any) -> None:
    """Decided twice, budgeted once."""
    assert (await ask(house)).outcome is (await ask(house)).outcome is Outcome.PERMITTED
    assert len(await states(house)) == 1
    assert await points(house) == (0, 5)
    assert len(await house.store.decisions(10, ("*",))) == 2


@pytest.mark.parametrize("is_over", [False, True])
async def test_the_id_of_a_tool_use_is_good_for_one(house: Any, is_over: bool) -> None:
    """Not for another command, and not again once it is over."""
    await ask(house)
    if is_over:
        await tell(house, told())
    answer = await ask(house, bash(command="ls" if is_over else "rm"))
    assert answer.reasons[0].id == "idempotency-key-reused"
    assert len(await states(house)) == 1


async def test_a_call_without_an_id_is_a_step_of_its_own(house: Any) -> None:
    """There is nothing to know it again by."""
    for _ in range(2):
        assert (await ask(house, bash(idempotency_key=None))).outcome is Outcome.PERMITTED
    assert len(await states(house)) == 2


async def test_a_tool_that_is_carried_is_not_permitted(house: Any) -> None:
    """It has a door of its own; asked about by a hook it only would run unseen."""
    answer = await ask(house, bash(server="repo", tool="read_file", arguments=b'{"path":"a"}'))
    assert answer.reasons[0].id == "unknown-tool"


async def test_what_will_come_by_another_door_is_only_decided(house: Any) -> None:
    """The decision is recorded; points and intent are those of the call that follows."""
    call = ToolCall("repo", "read_file", b'{"path":"a"}', Door.MCP)
    answer = await ask(house, call, carried=True)
    assert answer.outcome is Outcome.PERMITTED
    assert (await states(house), await points(house)) == ([], (0, 0))
    assert len(await house.store.decisions(10, ("*",))) == 1


async def test_a_tool_of_the_agents_own_has_no_other_door(house: Any) -> None:
    """Nobody could carry it."""
    caller = await caller_of(house)
    answer = await house.pipeline.run(caller, bash(door=Door.CALLS, idempotency_key=None))
    assert answer.reasons[0].id == "unknown-tool"


async def test_a_hold_waits_for_an_operator(house: Any) -> None:
    """The same question as for any other call; no intent is open."""
    house.engine.decision |= {"verdict": "hold"}
    answer = await ask(house)
    assert (answer.outcome, await states(house)) == (Outcome.PENDING_APPROVAL, [])


async def test_a_hold_may_be_put_to_the_person_in_front_of_the_agent(house: Any) -> None:
    """When policy says so: the intent is open and the decision stays a hold."""
    house.engine.decision |= {"verdict": "hold", "obligations": [{"type": "human_attended"}]}
    answer = await ask(house)
    assert (answer.outcome, answer.verdict) == (Outcome.PERMITTED, "hold")
    assert await states(house) == [(IntentState.SENDING, "")]
    (record,) = await house.store.decisions(10, ("*",))
    assert record.verdict == "hold"


async def test_a_mask_is_decided_on_as_the_tool_will_get_it(house: Any) -> None:
    """The arguments of the answer, the intent and the last decision are the same."""
    house.engine.decision |= {"obligations": [MASK]}
    answer = await ask(house, bash(command="curl -H secret"))
    assert answer.arguments == b'{"command":"[masked]"}'
    assert house.engine.inputs[-1]["context"]["arguments"] == {"command": "[masked]"}
    (row,) = await house.store.steps(None, (), 10)
    assert row.intent.arguments == answer.arguments
    assert len(await house.store.decisions(10, ("*",))) == 2


async def test_a_mask_that_never_comes_to_an_end_is_refused(house: Any) -> None:
    """Each decision wants something else hidden."""
    paths = iter(["/arguments/command", "/arguments/other"])
    query = house.engine.query

    async def changing(*arguments: Any) -> Any:
        house.engine.decision["obligations"] = [{"type": "mask", "path": next(paths)}]
        return await query(*arguments)

    house.engine.query = changing
    arguments = b'{"command":"a","other":"b"}'
    answer = await ask(house, bash(arguments=arguments))
    assert answer.reasons[0].id == "obligation-unknown"


async def test_arguments_that_cannot_be_masked_are_refused(house: Any) -> None:
    """They are nested more deeply than anything reads."""
    house.engine.decision |= {"obligations": [MASK]}
    deep = b'{"command":%b1%b}' % (b"[" * 3000, b"]" * 3000)
    house.stages.resolve.__class__.__call__  # noqa: B018  (the schema lets any value through)
    answer = await ask(house, bash(arguments=deep))
    assert answer.outcome is Outcome.DENIED


async def test_a_dry_run_is_a_preview(house: Any) -> None:
    """Nothing may run, nothing is open."""
    answer = await ask(house, bash(dry_run=True))
    assert (answer.outcome, await states(house)) == (Outcome.DRY_RUN, [])


async def test_a_kill_before_the_answer_leaves_nothing_open(house: Any) -> None:
    """It landed after the intent was written: the agent is refused, the points are free."""
    mark = house.store.mark_sending
    kills: list[Any] = []

    async def killed_meanwhile(step_id: str) -> None:
        await mark(step_id)
        kills.append(await house.kill_switch.kill((GLOBAL,), "oncall", "now"))

    house.store.mark_sending = killed_meanwhile
    answer = await ask(house)
    assert (answer.outcome, answer.reasons[0].id) == (Outcome.DENIED, "killed")
    assert await states(house) == [(IntentState.FAILED, "never dispatched")]
    verdicts = await house.kill_switch.verdicts(kills[0].epoch)
    assert list(verdicts.values()) == [KillVerdict.NEVER_DISPATCHED]


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
    with pytest.raises(Exception, match="killed"):
        await house.pipeline.check(caller)
