"""Stages 7 to 10 for tools that agents run themselves: an intent before, what the agent says after.

Detent decides such a call and does not carry it (tier C): there is no credential, no fence and no
stop in flight. The points of a call are spent as soon as it is over, however it ended: an agent
that could have them back would only have to say that it failed.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime

import rfc8785

from credentials.base import LeaseRequest
from proxy.errors import Refused
from proxy.killswitch.inflight import Flight
from proxy.killswitch.switch import KillSwitch
from proxy.model.call import Door, ToolCall
from proxy.model.decision import Reason, Verdict
from proxy.model.finding import Finding, FindingAction, Severity
from proxy.model.hook import ToolUse, claim_of
from proxy.model.ledger import Claim, IntentState, Outcome, ReserveStatus, Settlement, StepRow
from proxy.model.reasons import kind_of
from proxy.model.step import Answer, Step
from proxy.model.token import new_id
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.document import HTTP_OF
from proxy.pipeline.filter import ResponseFilter
from proxy.pipeline.masks import ARGUMENTS, masked, masks_of
from proxy.pipeline.reserve import Reserving, decided
from proxy.pipeline.settle import Settling
from proxy.stores.base import Ledger

_OPEN = (IntentState.INTENT, IntentState.SENDING)
_MAX_OPEN = 1_000
_MAX_TOLD = 1_000
_STATE_OF = {Outcome.DONE: IntentState.DONE, Outcome.FAILED: IntentState.FAILED}

UNASKED = "tool-use-unasked"
NO_RESULT = "the agent reported no result"
OTHER_ARGUMENTS = "the agent ran it with other arguments"

Wanted = tuple[str, LeaseRequest] | None


class Permits:
    """Writes down that an agent may run a tool, and what it says came of it."""

    def __init__(
        self,
        ledger: Ledger,
        reserving: Reserving,
        response_filter: ResponseFilter,
        settling: Settling,
        kill_switch: KillSwitch,
    ) -> None:
        self._ledger = ledger
        self._reserving = reserving
        self._filter = response_filter
        self._settling = settling
        self._kill_switch = kill_switch
        self._told: set[str] = set()

    async def reserve(self, step: Step, wanted: Wanted) -> Answer | None:
        """Reserve a tool of the agent's own; an answer comes back when it already is reserved.

        A tool use that is asked for twice before it is over (by two hooks) is one step. Raises
        Refused: unknown-tool for what is carried, idempotency-key-reused, and as Reserving does.
        """
        manifest, _ = decided(step)
        if not manifest.hooks:
            raise Refused.because("unknown-tool")
        key = step.call.idempotency_key
        claim = Claim(key, step.call.request_sha256) if key else None
        known = await self._ledger.claimed(step.session, claim) if claim else None
        if known is not None and known.status is ReserveStatus.RUNNING:
            await self._settling.asked(step)
            return _permitted(step)
        if known is not None:
            raise Refused.because("idempotency-key-reused")
        return await self._reserving(step, wanted)

    async def look(self, step: Step, _wanted: Wanted) -> Answer:
        """Record the decision about a call that will come through the gateway, and answer it.

        Nothing is reserved: the call itself is the step, and is decided again.
        """
        await self._settling.asked(step)
        return _permitted(step)

    async def begin(self, step: Step, flight: Flight) -> Answer:
        """Mark a reserved step as begun: as soon as this answers, the agent may run it.

        Raises Refused: killed, when a kill came in between. From here on a kill only notes.
        """
        flight.settling()
        await self._ledger.mark_sending(step.id)
        if self._kill_switch.covers(step.scopes, step.epoch):
            raise Refused.because("killed")
        return _permitted(step)

    async def conclude(self, caller: Caller, use: ToolUse) -> Answer:
        """Settle a tool use as the agent tells it, after the response filter has seen its result.

        The answer is a denial when the agent must not go on: canary-touched, agent-locked, killed.
        Its result is there when the agent may see another one only.
        """
        row = await self._ledger.step_of(caller.session, claim_of(use.id))
        if row is None or (row.intent.server, row.intent.tool) != (use.client, use.tool):
            return await self.unasked(caller, use)
        step = self._step_of(row, caller)
        answer = await self._shown(step, use)
        detail = " ".join(given.id for given in answer.reasons)
        if use.arguments_sha256 != row.intent.arguments_sha256:
            detail = OTHER_ARGUMENTS
            await self._tell(step, "with other arguments than those it asked for")
        await self._settling.observe(
            Settlement(step.id, _STATE_OF[use.outcome], datetime.now(UTC), detail, spent=True)
        )
        return answer

    async def close(self, caller: Caller, client: str, tool_use_ids: tuple[str, ...]) -> None:
        """Settle as unknown those tool uses that are over and were never told of."""
        for tool_use_id in tool_use_ids:
            row = await self._ledger.step_of(caller.session, claim_of(tool_use_id))
            if row is not None and row.intent.server == client:
                await self._close(row)

    async def close_all(self, caller: Caller, client: str) -> None:
        """Settle as unknown everything a session that ends has left open."""
        rows = await self._ledger.steps(caller.session.id, _OPEN, _MAX_OPEN)
        for row in rows:
            if row.intent.server == client:
                await self._close(row)

    async def _close(self, row: StepRow) -> None:
        if row.state in (*_OPEN, IntentState.UNKNOWN, IntentState.STUCK):
            at = datetime.now(UTC)
            settlement = Settlement(row.intent.step_id, IntentState.UNKNOWN, at, NO_RESULT)
            await self._settling.observe(replace(settlement, spent=True))

    async def _shown(self, step: Step, use: ToolUse) -> Answer:
        """Return what the agent may see of a result, and whether it may go on."""
        shown: bytes | None = None
        refused: tuple[Reason, ...] = ()
        try:
            shown = await self._filter.opened(step, None).result(use.result)
        except Refused as error:
            refused = error.refusal.reasons
        if shown is not None and json.loads(shown) != json.loads(use.result):
            refused = Refused.because("agent-locked").refusal.reasons
        elif self._kill_switch.covers(step.scopes):
            refused = (*refused, *Refused.because("killed").refusal.reasons)
        return Answer(
            step_id=step.id,
            verdict=Verdict.DENY.value if refused else Verdict.ALLOW.value,
            reasons=refused,
            outcome=use.outcome,
            http=kind_of(refused).http if refused else HTTP_OF[Outcome.DONE],
            result=shown if refused else None,
            epoch=step.epoch,
        )

    async def unasked(self, caller: Caller, use: ToolUse) -> Answer:
        """Tell people of a tool that ran without having been asked for, and let monitors look."""
        call = ToolCall(use.client, use.tool, use.arguments, Door.HOOKS)
        step = self._step(new_id("stp"), call, caller)
        await self._settling.refuse(step, Refused.because(UNASKED))
        await self._tell(step, "without asking; look at its hooks")
        return await self._shown(step, use)

    async def _tell(self, step: Step, how: str) -> None:
        """Tell people once a session: an agent could send as many of these as it likes."""
        tool = step.call.resource_id
        if step.session.id in self._told:
            return
        if len(self._told) >= _MAX_TOLD:
            self._told.clear()
        self._told.add(step.session.id)
        message = f"{step.principal.agent} ran {tool} {how}"
        finding = Finding(UNASKED, Severity.WARNING, FindingAction.NOTE, tool, message)
        await self._filter.inspection.act(step, finding)

    def _step_of(self, row: StepRow, caller: Caller) -> Step:
        intent = row.intent
        call = ToolCall(intent.server, intent.tool, intent.arguments, Door.HOOKS)
        return self._step(intent.step_id, call, caller)

    def _step(self, step_id: str, call: ToolCall, caller: Caller) -> Step:
        return Step(
            id=step_id,
            call=call,
            principal=caller.principal,
            session=caller.session,
            epoch=self._kill_switch.state.epoch,
            mode=caller.session.mode,
        )


def masked_call(step: Step) -> ToolCall | None:
    """Return the call with the arguments its policy wants instead, None when they are these.

    Only a hook can change what a tool runs with. Raises Refused: obligation-unknown.
    """
    call = step.call
    masks = masks_of(step.decision, ARGUMENTS) if call.door is Door.HOOKS else ()
    if not masks:
        return None
    try:
        hidden = json.loads(masked(call.arguments, masks))
    except ValueError:
        raise Refused.because("obligation-unknown") from None
    arguments = rfc8785.dumps(hidden)
    return None if arguments == call.arguments else replace(call, arguments=arguments)


def _permitted(step: Step) -> Answer:
    """Answer that the agent may run its tool; verdict hold: once the person there has agreed."""
    _, decision = decided(step)
    return Answer(
        step_id=step.id,
        verdict=decision.verdict.value,
        reasons=decision.reasons,
        outcome=Outcome.PERMITTED,
        http=HTTP_OF[Outcome.PERMITTED],
        risk=decision.risk,
        budget=step.view.budget if step.view else None,
        policy_revision=decision.policy_revision,
        decision_id=decision.id,
        epoch=step.epoch,
        arguments=step.call.arguments,
    )
