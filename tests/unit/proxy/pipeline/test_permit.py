from dataclasses import replace
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.call import Door, ToolCall
from proxy.model.decision import Decision, Obligation, Verdict
from proxy.model.kill import GLOBAL, KillVerdict
from proxy.model.ledger import IntentState, Outcome
from proxy.model.session import Mode
from proxy.model.step import Step
from proxy.pipeline import permit
from tests.harness.hooked import ask, bash, caller_of, points, states, tell, told

MASK = {"type": "mask", "path": "/arguments/command"}


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
    """What nobody can read cannot be hidden in part."""
    decision = Decision(
        "dec_1", Verdict.ALLOW, (), "r", (Obligation("mask", {"path": MASK["path"]}),)
    )
    caller = await caller_of(house)
    step = Step("stp_1", bash(arguments=b"{"), caller.principal, caller.session, 0, Mode.READ_WRITE)
    with pytest.raises(Refused, match="obligation-unknown"):
        permit.masked_call(replace(step, decision=decision))


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
