"""Stage 10: what was observed becomes durable; budgets move; the answer is built."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime

from proxy.errors import BadRequest, Refused, StoreUnavailable
from proxy.model.call import Door
from proxy.model.decision import Decision, Reason, Verdict
from proxy.model.ledger import DecisionRecord, IntentState, Outcome, Settlement
from proxy.model.reasons import kind_of
from proxy.model.session import BudgetView
from proxy.model.step import Answer, Step
from proxy.model.token import new_id
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.document import HTTP_OF, outcome_document
from proxy.pipeline.reserve import decided, decision_record
from proxy.stores.base import Ledger
from proxy.upstream.base import UpstreamResult

log = logging.getLogger(__name__)

RETRY_S = 1.0
RETRIES = 600
AGAIN_S = (10.0, 60.0)  # longer than a statement may take in any store
_PLAIN = re.compile(r"[!-~]{1,200}")

_STATE_OF = {
    Outcome.DONE: IntentState.DONE,
    Outcome.FAILED: IntentState.FAILED,
    Outcome.INPUT_REQUIRED: IntentState.FAILED,
    Outcome.UNKNOWN: IntentState.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a call that was reserved has ended.

    `reasons` say why the agent does not get what it asked for; `shown` is what it gets. `task_id`:
    the call began a task, and that it did is all that is known: the task goes on.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    shown: UpstreamResult | None = None
    refused: bool = False
    task_id: str | None = None


class Settling:
    """Closes the ledger on every exit."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._retries: set[asyncio.Task[None]] = set()

    async def close(self, step: Step, ending: Ending) -> Answer:
        """Settle a reserved step and return its answer. Raises StoreUnavailable.

        Shielded: a client that goes away cannot keep an outcome out of the ledger.
        """
        answer = answer_of(step, ending)
        settlement = Settlement(
            step_id=step.id,
            state=_STATE_OF[ending.outcome],
            at=datetime.now(UTC),
            detail=_detail(ending),
            answer=outcome_document(answer) if step.call.idempotency_key else None,
        )
        await asyncio.shield(self._settle(settlement))
        return answer

    async def observe(self, settlement: Settlement) -> None:
        """Settle a step that nobody waits for. Raises StoreUnavailable; shielded as well."""
        await asyncio.shield(self._settle(settlement))

    async def abandon(self, step: Step) -> None:
        """Close the reservation of a step that was cut while it was being written, if it was.

        Closed again a little later: a reservation that was cut may still be on its way.
        """
        if step.decision is not None:
            self._later(self._again(_failed(step)))
            await asyncio.shield(self._settle(_failed(step)))

    async def refuse(self, step: Step, refused: Refused) -> Answer:
        """Record a refusal of a step and return its answer. Raises StoreUnavailable."""
        refusal = refused.refusal
        await self._ledger.record(_refusal_record(step, refused))
        return Answer(
            step_id=step.id,
            verdict=refusal.verdict.value,
            reasons=refusal.reasons,
            outcome=Outcome.DENIED,
            http=kind_of(refusal.reasons).http,
            risk=step.decision.risk if step.decision else 0,
            budget=step.view.budget if step.view else None,
            policy_revision=step.decision.policy_revision if step.decision else "",
            decision_id=_decision_id(step.decision),
            epoch=step.epoch,
        )

    async def asked(self, step: Step) -> None:
        """Record that a server's request was let through to the client. Raises StoreUnavailable."""
        await self._ledger.record(decision_record(step, datetime.now(UTC)))

    async def preview(self, step: Step, credential: dict[str, object] | None) -> Answer:
        """Record the decision of a dry run and return its preview. Raises StoreUnavailable."""
        manifest, decision = decided(step)
        await self._ledger.record(decision_record(step, datetime.now(UTC)))
        preview = {
            "server": step.call.server,
            "tool": step.call.tool,
            "arguments_canonical": step.call.arguments.decode(),
            "arguments_sha256": step.call.arguments_sha256,
            "request_sha256": step.call.request_sha256,
            "effect": manifest.effect.value,
            "tool_pin": step.definition.pin if step.definition else "",
            "cost": {"risk": decision.risk},
            "credential": credential,
            "policy_revision": decision.policy_revision,
        }
        return Answer(
            step_id=step.id,
            verdict=decision.verdict.value,
            reasons=decision.reasons,
            outcome=Outcome.DRY_RUN,
            preview=preview,
            risk=decision.risk,
            budget=step.view.budget if step.view else None,
            policy_revision=decision.policy_revision,
            decision_id=decision.id,
            epoch=step.epoch,
        )

    async def reject(
        self, error: BadRequest, caller: Caller | None, door: Door, epoch: int
    ) -> None:
        """Record a request that never became a call."""
        await self._ledger.record(
            DecisionRecord(
                decision_id=new_id("dec"),
                at=datetime.now(UTC),
                step_id="",
                tenant=caller.principal.tenant if caller else "",
                agent=caller.principal.agent if caller else "",
                session_id=caller.session.id if caller else "",
                resource_id=f"door:{door.value}",
                effect="",
                verdict="deny",
                reasons=(Reason(error.code, error.detail),),
                arguments_sha256="",
                policy_revision="",
                epoch=epoch,
            )
        )

    async def _settle(self, settlement: Settlement) -> None:
        """Settle; what the ledger does not take now is tried again until it does."""
        try:
            await self._ledger.settle(settlement)
        except StoreUnavailable:
            self._later(self._retry(settlement))
            raise

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._retries.add(task)
        task.add_done_callback(self._retries.discard)

    async def _again(self, settlement: Settlement) -> None:
        for pause_s in AGAIN_S:
            await asyncio.sleep(pause_s)
            with contextlib.suppress(StoreUnavailable):
                await self._ledger.settle(settlement)

    async def _retry(self, settlement: Settlement) -> None:
        for _ in range(RETRIES):
            await asyncio.sleep(RETRY_S)
            with contextlib.suppress(StoreUnavailable):
                await self._ledger.settle(settlement)
                return
        log.critical("outcome not recorded", extra={"step_id": settlement.step_id})


def _detail(ending: Ending) -> str:
    """Return what the ledger says beside the state."""
    if ending.outcome is Outcome.INPUT_REQUIRED:
        return "input-required"  # the tool has not acted: the next round is another intent
    task = [] if ending.task_id is None else [_task(ending.task_id)]
    return " ".join([*task, *(given.id for given in ending.reasons)])


def _task(task_id: str) -> str:
    """Return the mark of a task that goes on; what a server calls it is shown when it is plain."""
    return f"task:{task_id}" if _PLAIN.fullmatch(task_id) else "task"


def _failed(step: Step) -> Settlement:
    return Settlement(step.id, IntentState.FAILED, datetime.now(UTC), "never dispatched")


def answer_of(step: Step, ending: Ending) -> Answer:
    """Return how a call that was reserved is answered."""
    _, decision = decided(step)
    shown = ending.shown
    http = HTTP_OF[Outcome.DONE] if shown else HTTP_OF[ending.outcome]
    return Answer(
        step_id=step.id,
        verdict=Verdict.DENY if ending.refused else decision.verdict,
        reasons=ending.reasons or decision.reasons,
        outcome=Outcome.DENIED if ending.refused else ending.outcome,
        http=kind_of(ending.reasons).http if ending.reasons else http,
        result=shown.result if shown else None,
        is_error=shown.is_error if shown else ending.outcome is not Outcome.DONE,
        is_rpc_error=shown is not None and shown.is_rpc_error,
        risk=decision.risk,
        budget=_budget_after(step, ending.outcome, decision.risk),
        policy_revision=decision.policy_revision,
        decision_id=decision.id,
        epoch=step.epoch,
    )


def _budget_after(step: Step, outcome: Outcome, risk: int) -> BudgetView | None:
    if step.view is None:
        return None
    before = step.view.budget
    used = before.used + (risk if outcome is Outcome.DONE else 0)
    held = before.held + (risk if outcome is Outcome.UNKNOWN else 0)
    return BudgetView(before.limit, used, held)


def _refusal_record(step: Step, refused: Refused) -> DecisionRecord:
    refusal = refused.refusal
    return DecisionRecord(
        decision_id=_decision_id(step.decision),
        at=datetime.now(UTC),
        step_id=step.id,
        tenant=step.principal.tenant,
        agent=step.principal.agent,
        session_id=step.session.id,
        resource_id=step.call.resource_id,
        effect=step.manifest.effect.value if step.manifest else "",
        verdict=refusal.verdict.value,
        reasons=refusal.reasons,
        arguments_sha256=step.call.arguments_sha256,
        policy_revision=step.decision.policy_revision if step.decision else "",
        epoch=step.epoch,
        dry_run=step.call.dry_run,
        risk=step.decision.risk if step.decision else 0,
    )


def _decision_id(decision: Decision | None) -> str:
    return decision.id if decision else new_id("dec")
