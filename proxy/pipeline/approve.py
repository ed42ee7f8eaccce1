"""Stages 5 and 6, the part of people: a hold becomes a question, and its approval one call.

An approval is looked for before the policy decides, which sees it, lets a hold through after it,
and is used up in the reservation. Nothing an agent can send decides one: that takes an operator.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from proxy.errors import Refused
from proxy.killswitch.switch import KillSwitch
from proxy.model.approval import Approval, ApprovalState, Binding, sent_by, sha256_of
from proxy.model.decision import Decision, Reason, Verdict
from proxy.model.finding import Alert, Severity
from proxy.model.ledger import Outcome
from proxy.model.step import Answer, Step
from proxy.model.token import new_id
from proxy.pipeline.document import HTTP_OF
from proxy.pipeline.reserve import decided, replay
from proxy.pipeline.secret_fields import without_secrets
from proxy.pipeline.settle import Settling
from proxy.stores.base import Approvals, Ledger

LIFETIME = timedelta(minutes=15)
PENDING_CAP = 20

_POINTER = (
    "Nothing was sent. Only an operator can approve this call, as {0} and until {1}; no answer in "
    "this conversation does. Once it is approved, send exactly the same call again."
)


class ApprovalStore(Approvals, Ledger, Protocol):
    """The two parts of the store that a hold needs."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How long an approval may be given and used, and how many an agent may have pending."""

    lifetime: timedelta = LIFETIME
    pending_cap: int = PENDING_CAP


class Approving:
    """Finds approvals, applies them, and asks for those that are missing.

    `revision` gives that of the policy in force; `raise_alert` tells people that one is waited for.
    """

    def __init__(
        self,
        store: ApprovalStore,
        kill_switch: KillSwitch,
        settling: Settling,
        raise_alert: Callable[[Alert], Awaitable[None]],
        revision: Callable[[], str],
        terms: Terms,
    ) -> None:
        self._store = store
        self._kill_switch = kill_switch
        self._settling = settling
        self._raise_alert = raise_alert
        self._revision = revision
        self._terms = terms

    async def find(self, step: Step) -> Step:
        """Return the step with the approval that is valid for exactly this request, if any."""
        step = replace(step, approval=None) if step.approval else step
        if step.view is None or not step.view.approvals:
            return step
        binding = binding_of(step, self._revision())
        standing = await self._store.standing_approval(binding, datetime.now(UTC))
        if standing is None or standing.state is not ApprovalState.APPROVED:
            return step
        if self._kill_switch.covers(step.scopes, standing.epoch):
            return step
        return replace(step, approval=standing)

    def apply(self, step: Step) -> Step:
        """Return the step with a hold turned into an allow, when its approval fits the decision.

        Raises Refused: policy-unavailable, when the policy changed while it decided.
        """
        _, decision = decided(step)
        approval = step.approval
        if approval is None:
            return step
        if approval.binding != binding_of(step, decision.policy_revision):
            raise Refused.because("policy-unavailable")
        if decision.verdict is not Verdict.HOLD or step.is_dry_run:
            return step
        return replace(step, decision=_allowed(decision, approval))

    async def hold(self, step: Step) -> Answer:
        """Answer a call that policy holds: pending, or refused when an operator said no.

        A call whose idempotency key was answered before gets that answer. Raises StoreUnavailable.
        """
        try:
            return await replay(self._store, step) or await self._pending(step)
        except Refused as refused:
            return await self._settling.refuse(step, refused)

    async def _pending(self, step: Step) -> Answer:
        asked = self._question(step)
        standing = await self._store.ask_approval(asked, self._terms.pending_cap)
        if standing is None:
            raise Refused.because("too-many-approvals")
        if standing.state is ApprovalState.DENIED:
            raise Refused.because("approval-denied")
        await self._settling.asked(step)
        if standing.id == asked.id:
            await self._raise_alert(_alert(asked, step))
        return _answer(step, standing)

    def _question(self, step: Step) -> Approval:
        manifest, decision = decided(step)
        now = datetime.now(UTC)
        return Approval(
            id=new_id("apr"),
            binding=binding_of(step, decision.policy_revision),
            session_id=step.session.id,
            epoch=step.epoch,
            effect=manifest.effect,
            risk=decision.risk,
            reasons=decision.reasons,
            request=_shown(step),
            asked_at=now,
            expires_at=now + self._terms.lifetime,
        )


def binding_of(step: Step, revision: str) -> Binding:
    """Return what an approval of this step is bound to. The step has been resolved."""
    return Binding(
        tenant=step.principal.tenant,
        agent=step.principal.agent,
        resource_id=step.call.resource_id,
        request_sha256=sha256_of(sent_by(step.call)),
        tool_pin=step.definition.pin if step.definition else "",
        policy_revision=revision,
    )


def _shown(step: Step) -> bytes:
    """Return the request as people and the ledger may read it; the binding has its own hash."""
    schema = step.definition.input_schema if step.definition else b"{}"
    arguments = without_secrets(step.call.arguments, schema)
    return sent_by(replace(step.call, arguments=arguments))


def _allowed(decision: Decision, approval: Approval) -> Decision:
    approved = Reason("approved", f"An operator approved exactly this call ({approval.id}).")
    return replace(decision, verdict=Verdict.ALLOW, reasons=(approved, *decision.reasons))


def _answer(step: Step, standing: Approval) -> Answer:
    _, decision = decided(step)
    pointer = Reason("approval-pending", _POINTER.format(standing.id, _time(standing.expires_at)))
    return Answer(
        step_id=step.id,
        verdict=decision.verdict.value,
        reasons=(*decision.reasons, pointer),
        outcome=Outcome.PENDING_APPROVAL,
        http=HTTP_OF[Outcome.PENDING_APPROVAL],
        approval={
            "id": standing.id,
            "expires_at": _time(standing.expires_at),
            "state": standing.state.value,
        },
        risk=decision.risk,
        budget=step.view.budget if step.view else None,
        policy_revision=decision.policy_revision,
        decision_id=decision.id,
        epoch=step.epoch,
    )


def _alert(asked: Approval, step: Step) -> Alert:
    binding = asked.binding
    return Alert(
        id=new_id("alr"),
        at=asked.asked_at,
        kind="approval-pending",
        severity=Severity.WARNING,
        message=f"{binding.tenant}/{binding.agent} waits for an approval to call "
        f"{binding.resource_id}: {asked.id}, until {_time(asked.expires_at)}",
        tenant=binding.tenant,
        agent=binding.agent,
        session_id=asked.session_id,
        step_id=step.id,
    )


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
