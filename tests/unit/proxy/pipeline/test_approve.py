"""A hold, its question and its one use, on a real ledger."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.approval import Approval, ApprovalState, Ruling, sha256_of
from proxy.model.call import Door, ToolCall
from proxy.model.decision import Decision, Reason, Verdict
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.ledger import Outcome
from proxy.model.session import Mode
from proxy.model.step import Step
from proxy.pipeline.approve import PENDING_CAP, Terms, binding_of
from proxy.pipeline.decide import decision_body

HOLD = {"verdict": "hold", "reasons": [{"id": "approval-required", "message": "Ask."}]}


@pytest.fixture
def holding(house: Any) -> Any:
    """A house whose policy holds every call."""
    house.engine.decision = house.engine.decision | HOLD
    return house


async def rule(house: Any, answer: Any, state: ApprovalState = ApprovalState.APPROVED) -> bool:
    """Approve or deny what an answer points to."""
    ruling = Ruling(answer.approval["id"], state, "oncall", "", datetime.now(UTC))
    return bool(await house.store.rule_approval(ruling))


async def asked(house: Any) -> tuple[Approval, ...]:
    """Return every approval there is."""
    found = await house.store.approvals(None, ("*",), 100, datetime.now(UTC))
    assert isinstance(found, tuple)
    return found


def terms(house: Any, **changes: Any) -> None:
    house.stages.approve._terms = Terms(**changes)


async def test_a_hold_asks_and_sends_nothing(holding: Any) -> None:
    """202, and where the approval is; one audit record; the tool hears nothing."""
    answer = await holding.call("rm")
    assert (answer.verdict, answer.outcome, answer.http) == ("hold", "pending_approval", 202)
    (approval,) = await asked(holding)
    assert answer.approval["id"] == approval.id
    assert answer.approval["state"] == "pending"
    assert [given.id for given in answer.reasons] == ["approval-required", "approval-pending"]
    assert approval.id in answer.reasons[1].message
    (record,) = await holding.store.decisions(10, ("*",))
    assert (record.verdict, [one.id for one in record.reasons]) == ("hold", ["approval-required"])
    assert holding.tool.received == []


async def test_the_question_says_exactly_what_would_be_sent(holding: Any) -> None:
    """Bytes and their hash, the pin, the policy, who asks and until when."""
    await holding.call("rm", arguments={"path": "a"})
    (approval,) = await asked(holding)
    assert approval.request == b'{"arguments":{"path":"a"},"server":"repo","tool":"rm"}'
    assert approval.binding.request_sha256 == sha256_of(approval.request)
    assert approval.binding.tool_pin == holding.tool.tools[2].pin
    assert approval.binding.policy_revision == "sha256:test"
    assert (approval.effect, approval.risk, approval.epoch) == ("irreversible", 5, 0)
    assert approval.expires_at - approval.asked_at == timedelta(minutes=15)


async def test_people_are_told_once(holding: Any) -> None:
    """The same call again finds the same question."""
    first, second = await holding.call("rm"), await holding.call("rm")
    assert first.approval == second.approval
    (alert,) = holding.alerts
    told = (alert.kind, alert.severity, alert.step_id)
    assert told == ("approval-pending", "warning", first.step_id)
    assert first.approval["id"] in alert.message


async def test_an_approved_call_goes_through_once(holding: Any) -> None:
    """The same call, sent again; the next one holds anew."""
    first = await holding.call("rm")
    assert await rule(holding, first)
    done = await holding.call("rm")
    assert (done.verdict, done.outcome) == ("allow", Outcome.DONE)
    assert [given.id for given in done.reasons] == ["approved", "approval-required"]
    assert first.approval["id"] in done.reasons[0].message
    again = await holding.call("rm")
    assert again.outcome is Outcome.PENDING_APPROVAL
    assert again.approval["id"] != first.approval["id"]
    assert len(holding.tool.received) == 1


async def test_the_policy_sees_the_approval_of_this_call_only(holding: Any) -> None:
    """An empty list, then one entry with who approved."""
    first = await holding.call("rm")
    await rule(holding, first)
    await holding.call("rm", arguments={"path": "b"})
    await holding.call("rm")
    seen = [given["context"]["approvals"] for given in holding.engine.inputs]
    assert seen == [[], [], [{"id": first.approval["id"], "by": "oncall"}]]


async def test_an_approval_that_the_policy_allowed_by_is_used_up_too(holding: Any) -> None:
    """A policy may look at approvals itself: still one call each."""
    first = await holding.call("rm")
    await rule(holding, first)
    holding.engine.decision = holding.engine.decision | {"verdict": "allow"}
    assert (await holding.call("rm")).outcome is Outcome.DONE
    (approval,) = await asked(holding)
    assert approval.state is ApprovalState.USED


async def test_a_denial_beats_an_approval(holding: Any) -> None:
    """The policy has the last word; the approval stays unused."""
    await rule(holding, await holding.call("rm"))
    holding.engine.decision = holding.engine.decision | {"verdict": "deny"}
    assert (await holding.call("rm")).outcome is Outcome.DENIED
    (approval,) = await asked(holding)
    assert approval.state is ApprovalState.APPROVED


async def test_a_denied_call_is_refused_until_the_question_expires(holding: Any) -> None:
    """No second question while the answer stands."""
    terms(holding, lifetime=timedelta(seconds=0.2))
    first = await holding.call("rm")
    await rule(holding, first, ApprovalState.DENIED)
    refused = await holding.call("rm")
    told = (refused.verdict, refused.http, refused.reasons[0].id)
    assert told == ("deny", 403, "approval-denied")
    await asyncio.sleep(0.21)
    assert (await holding.call("rm")).approval["id"] != first.approval["id"]


async def test_an_approval_ends_with_its_time(holding: Any) -> None:
    """Neither given nor used late."""
    terms(holding, lifetime=timedelta(seconds=0.1))
    first, second = await holding.call("rm"), await holding.call("write_file")
    assert await rule(holding, first)
    await asyncio.sleep(0.11)
    assert not await rule(holding, second)
    assert (await holding.call("rm")).outcome is Outcome.PENDING_APPROVAL
    assert holding.tool.received == []


async def test_two_at_once_share_no_approval(holding: Any) -> None:
    """One goes through; the other finds it spent."""
    await rule(holding, await holding.call("rm"))
    query, both = holding.engine.query, asyncio.Event()

    async def decide_for_both(*given: Any) -> Any:
        if len(holding.engine.inputs) == 2:
            both.set()
        answer = await query(*given)
        await both.wait()
        return answer

    holding.engine.query = decide_for_both
    answers = await asyncio.gather(holding.call("rm"), holding.call("rm"))
    assert {answer.outcome for answer in answers} == {Outcome.DONE, Outcome.DENIED}
    (late,) = (answer for answer in answers if answer.outcome is Outcome.DENIED)
    assert (late.reasons[0].id, late.http) == ("approval-spent", 409)
    assert len(holding.tool.received) == 1


@pytest.mark.parametrize(
    "scope",
    [GLOBAL, Scope(ScopeKind.TOOL, "repo/rm"), Scope(ScopeKind.AGENT, "acme/loop")],
    ids=str,
)
async def test_a_kill_voids_what_was_approved_before_it(holding: Any, scope: Scope) -> None:
    """After the lift, people are asked again."""
    first = await holding.call("rm")
    await rule(holding, first)
    report = await holding.kill_switch.kill((scope,), "oncall", "")
    await holding.kill_switch.lift(report.epoch, "oncall", "over")
    again = await holding.call("rm")
    assert again.outcome is Outcome.PENDING_APPROVAL
    assert again.approval["id"] != first.approval["id"]
    assert holding.tool.received == []


async def test_a_kill_of_the_sending_session_voids_it_as_well(holding: Any) -> None:
    """Asked in one session, sent in another that was killed and lifted since."""
    await rule(holding, await holding.call("rm"))
    caller = await holding.caller()
    other = replace(caller.session, id="ses_other", implicit=False)
    scope = Scope(ScopeKind.SESSION, other.id)
    report = await holding.kill_switch.kill((scope,), "oncall", "")
    await holding.kill_switch.lift(report.epoch, "oncall", "over")
    step = await resolved(holding, session=other)
    assert (await holding.stages.approve.find(step)).approval is None


async def test_an_approval_does_not_stay_with_a_call_that_was_changed(holding: Any) -> None:
    """Whoever changes the call looks anew."""
    await rule(holding, await holding.call("rm"))
    step = await holding.stages.approve.find(await resolved(holding))
    assert step.approval is not None
    changed = replace(step, call=replace(step.call, arguments=b'{"path":"b"}'))
    assert (await holding.stages.approve.find(changed)).approval is None


async def test_a_question_of_the_server_within_a_call_has_no_approval(holding: Any) -> None:
    """Policy is not told of the call's own, whatever the step still carries."""
    await rule(holding, await holding.call("rm"))
    step = await holding.stages.approve.find(await resolved(holding))
    asked = replace(step, call=replace(step.call, arguments=b'{"path":"b"}'))
    seen = [
        json.loads(decision_body(one, "r"))["input"]["context"]["approvals"]
        for one in (step, asked)
    ]
    assert [len(approvals) for approvals in seen] == [1, 0]


async def test_a_pending_question_is_no_approval(holding: Any) -> None:
    """Waiting gives nothing."""
    await holding.call("rm")
    assert (await holding.stages.approve.find(await resolved(holding))).approval is None


async def test_a_policy_that_changes_while_it_decides_refuses(holding: Any) -> None:
    """What was shown to one revision is not good under another."""
    await rule(holding, await holding.call("rm"))
    step = await holding.stages.approve.find(await resolved(holding))
    newer = Decision("dec_1", Verdict.ALLOW, (Reason("ok", "Fine."),), "sha256:newer")
    with pytest.raises(Refused, match="policy-unavailable"):
        holding.stages.approve.apply(replace(step, decision=newer))


async def test_a_dry_run_is_previewed_and_uses_nothing_up(holding: Any) -> None:
    """It has no effect to approve, so it asks nobody."""
    preview = await holding.call("rm", dry_run=True)
    assert (preview.verdict, preview.outcome) == ("hold", Outcome.DRY_RUN)
    assert await asked(holding) == ()
    await rule(holding, await holding.call("rm"))
    assert (await holding.call("rm", dry_run=True)).verdict == "hold"
    (approval,) = await asked(holding)
    assert approval.state is ApprovalState.APPROVED


async def test_an_agent_has_a_bounded_number_of_questions(holding: Any) -> None:
    """Nobody is flooded; decided ones make room."""
    answers = [await holding.call("rm", arguments={"path": str(n)}) for n in range(PENDING_CAP)]
    refused = await holding.call("rm", arguments={"path": "one more"})
    assert (refused.reasons[0].id, refused.http) == ("too-many-approvals", 429)
    await rule(holding, answers[0], ApprovalState.DENIED)
    held = await holding.call("rm", arguments={"path": "one more"})
    assert held.outcome is Outcome.PENDING_APPROVAL


async def test_a_repeated_key_gets_the_stored_answer_and_asks_nobody(holding: Any) -> None:
    """The call was made under its approval; sending it again must not ask for another."""
    await rule(holding, await holding.call("rm", idempotency_key="k"))
    first = await holding.call("rm", idempotency_key="k")
    second = await holding.call("rm", idempotency_key="k")
    assert (first.outcome, second.step_id) == (Outcome.DONE, first.step_id)
    assert len(await asked(holding)) == 1
    assert len(holding.tool.received) == 1


async def test_a_key_of_another_request_is_refused_before_people_are_asked(holding: Any) -> None:
    """422, as without a hold."""
    await rule(holding, await holding.call("rm", idempotency_key="k"))
    await holding.call("rm", idempotency_key="k")
    answer = await holding.call("rm", arguments={"path": "b"}, idempotency_key="k")
    assert (answer.reasons[0].id, answer.http) == ("idempotency-key-reused", 422)
    assert len(await asked(holding)) == 1


async def test_what_a_hold_grants_is_lent_after_the_approval(holding: Any) -> None:
    """The credential of the decision, minted only now."""
    grant = {"broker": "keys", "audience": "https://repo", "scope": ["repo:write"], "ttl": 30}
    holding.engine.decision = holding.engine.decision | {"grant": grant}
    await rule(holding, await holding.call("rm"))
    assert holding.broker.minted == []
    await holding.call("rm")
    assert holding.tool.headers == [{"Authorization": "Bearer lent"}]


async def test_an_unresolved_step_binds_to_no_definition(holding: Any) -> None:
    """No pin stands for no pin, never for any."""
    step = replace(await resolved(holding), definition=None)
    assert binding_of(step, "r").tool_pin == ""


async def resolved(house: Any, **changes: Any) -> Step:
    """Return a step of `rm` as it reaches the stage."""
    caller = await house.caller()
    call = ToolCall("repo", "rm", b'{"path":"a"}', Door.CALLS)
    step = Step("stp_1", call, caller.principal, caller.session, 0, Mode.READ_WRITE)
    step = await house.stages.admit(step)
    resolved = house.stages.resolve(step)
    assert isinstance(resolved, Step)
    return replace(resolved, epoch=house.kill_switch.state.epoch, **changes)
