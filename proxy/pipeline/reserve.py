"""Stage 7: one durable transaction before anything can happen."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from credentials.base import LeaseRequest
from proxy.errors import Refused
from proxy.model.decision import Decision
from proxy.model.ledger import (
    Claim,
    DecisionRecord,
    Hold,
    Intent,
    Limits,
    PendingCredential,
    Reservation,
    Reserved,
    ReserveStatus,
)
from proxy.model.step import Answer, Step
from proxy.model.tool import ToolManifest
from proxy.pipeline.document import parse_document
from proxy.stores.base import Ledger

REFUSED_AS: dict[ReserveStatus, str] = {
    ReserveStatus.KILLED: "killed",
    ReserveStatus.LOCKED: "agent-locked",
    ReserveStatus.SESSION_CLOSED: "session-closed",
    ReserveStatus.BUDGET_EXHAUSTED: "budget-exhausted",
    ReserveStatus.APPROVAL_SPENT: "approval-spent",
    ReserveStatus.RUNNING: "idempotency-key-in-use",
    ReserveStatus.MISMATCH: "idempotency-key-reused",
}


class Reserving:
    """Writes intent, budget holds, labels, decision and pending credential.

    `holder` is who holds the kill lease that calls start under.
    """

    def __init__(
        self, ledger: Ledger, limits: Callable[[str, str], Limits], holder: str = ""
    ) -> None:
        self._ledger = ledger
        self._limits = limits
        self._holder = holder

    async def __call__(self, step: Step, wanted: tuple[str, LeaseRequest] | None) -> Answer | None:
        """Reserve; an answer comes back only for a replayed idempotency key.

        Raises Refused for every status but RESERVED and REPLAY, StoreUnavailable.
        """
        reserved = await self._ledger.reserve(self._reservation(step, wanted))
        if reserved.status is ReserveStatus.RESERVED:
            return None
        return await _answered(self._ledger, step, reserved)

    def _reservation(self, step: Step, wanted: tuple[str, LeaseRequest] | None) -> Reservation:
        manifest, decision = decided(step)
        now = datetime.now(UTC)
        return Reservation(
            intent=replace(_intent(step, manifest, now), holder=self._holder),
            decision=decision_record(step, now),
            scopes=step.scopes,
            holds=self._holds(step, decision.risk),
            labels=decision.labels,
            claim=_claim(step),
            credential=pending_of(wanted, now),
            approval=step.approval,
        )

    def _holds(self, step: Step, risk: int) -> tuple[Hold, ...]:
        principal = step.principal
        limits = self._limits(principal.tenant, principal.agent)
        agent = f"agent:{principal.tenant}/{principal.agent}"
        return (
            Hold(f"session:{step.session.id}", step.session.risk_limit, risk),
            Hold(agent, limits.agent_risk, risk, limits.window_s),
        )


async def replay(ledger: Ledger, step: Step) -> Answer | None:
    """Return the stored answer of a call whose key was used before; None for a new key or none.

    Raises Refused: idempotency-key-in-use, idempotency-key-reused.
    """
    claim = _claim(step)
    known = await ledger.claimed(step.session, claim) if claim else None
    return None if known is None else await _answered(ledger, step, known)


def decided(step: Step) -> tuple[ToolManifest, Decision]:
    """Return manifest and decision of a step that has passed both stages."""
    if step.manifest is None or step.decision is None:
        raise Refused.because("policy-unavailable")
    return step.manifest, step.decision


def decision_record(step: Step, at: datetime) -> DecisionRecord:
    """Return the audit record of the decision the policy made."""
    manifest, decision = decided(step)
    return DecisionRecord(
        decision_id=decision.id,
        at=at,
        step_id=step.id,
        tenant=step.principal.tenant,
        agent=step.principal.agent,
        session_id=step.session.id,
        resource_id=step.call.resource_id,
        effect=manifest.effect,
        verdict=decision.verdict,
        reasons=decision.reasons,
        arguments_sha256=step.call.arguments_sha256,
        policy_revision=decision.policy_revision,
        epoch=step.epoch,
        dry_run=step.is_dry_run,
        risk=decision.risk,
    )


def _intent(step: Step, manifest: ToolManifest, now: datetime) -> Intent:
    return Intent(
        step_id=step.id,
        session_id=step.session.id,
        tenant=step.principal.tenant,
        agent=step.principal.agent,
        server=step.call.server,
        tool=step.call.tool,
        effect=manifest.effect,
        recovery=manifest.recovery,
        arguments=step.call.arguments,
        arguments_sha256=step.call.arguments_sha256,
        epoch=step.epoch,
        at=now,
        continues=step.call.round.step_id if step.call.round else "",
        timeout_s=manifest.timeout_s,
        roles=step.principal.roles,
        mode=step.mode,
        extras=step.call.extras,
        meta=step.call.meta,
    )


def _claim(step: Step) -> Claim | None:
    """Return the claim of a keyed call. Each round of one has its own: its answer is another."""
    key, later = step.call.idempotency_key, step.call.round
    if not key:
        return None
    return Claim(f"{key}\x1f{later.number}" if later else key, step.call.request_sha256)


def pending_of(wanted: tuple[str, LeaseRequest] | None, now: datetime) -> PendingCredential | None:
    """Return the credential that is about to be minted, None without one."""
    if wanted is None:
        return None
    broker, request = wanted
    expires_at = now + timedelta(seconds=request.ttl_s)
    return PendingCredential(request.lease_id, broker, request.audience, request.scope, expires_at)


async def _answered(ledger: Ledger, step: Step, reserved: Reserved) -> Answer:
    """Return a replayed answer, with an audit record of its own. Raises Refused otherwise."""
    if reserved.status is not ReserveStatus.REPLAY:
        raise Refused.because(REFUSED_AS[reserved.status])
    replayed = _replayed(reserved)
    await ledger.record(decision_record(step, datetime.now(UTC)))
    return replayed


def _replayed(reserved: Reserved) -> Answer:
    if reserved.answer is None:
        raise Refused.because("idempotency-key-in-use")
    return replace(parse_document(reserved.answer), stored=reserved.answer)
