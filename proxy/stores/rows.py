"""Rows to frozen dataclasses and back, for every store.

Times are microseconds since 1970 UTC, scopes `kind:id`; positions are those of the views in the
migrations, which all stores name alike.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from proxy.model.decision import Reason, Verdict
from proxy.model.finding import Alert, Severity
from proxy.model.kill import KillAction, KillEntry, KillOrder, Scope, ScopeKind
from proxy.model.ledger import (
    DecisionRecord,
    Hold,
    Intent,
    IntentState,
    Outcome,
    PendingCredential,
    StepRow,
)
from proxy.model.session import Mode, RecentStep, Session, SessionState
from proxy.model.tool import Effect, Recovery

Row = tuple[Any, ...]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_compact = json.JSONEncoder(separators=(",", ":")).encode


def micros(at: datetime) -> int:
    """Return microseconds since 1970 UTC. A time without a zone is a TypeError."""
    return (at - _EPOCH) // _MICROSECOND


def moment(at_us: int) -> datetime:
    """Return the time, in UTC."""
    return _EPOCH + timedelta(microseconds=at_us)


def scope_key(scope: Scope) -> str:
    """Return `kind:id`; a kind has no colon, so the key is unique."""
    return f"{scope.kind}:{scope.id}"


def scope_of(key: str) -> Scope:
    """Return the scope of a key."""
    kind, _, scope_id = key.partition(":")
    return Scope(ScopeKind(kind), scope_id)


def scope_keys(scopes: Iterable[Scope]) -> str:
    """Return the keys as a JSON array, in order."""
    return _compact([scope_key(scope) for scope in scopes])


def hold_values(holds: Iterable[Hold]) -> str:
    """Return `[account, risk, window_s]` of each hold as a JSON array."""
    return _compact([(hold.account, hold.risk, hold.window_s) for hold in holds])


def session_values(session: Session, token_sha256: str | None) -> Row:
    """Return the values of a session in the order of `session_rows`."""
    return (
        session.id,
        session.tenant,
        session.agent,
        session.mode,
        micros(session.opened_at),
        micros(session.expires_at),
        session.risk_limit,
        session.implicit,
        session.purpose,
        session.state,
        token_sha256,
    )


def session_of(row: Row) -> Session:
    """Return the session of a row of `session_rows`."""
    session_id, tenant, agent, mode, opened, expires, risk_limit, implicit, purpose, state, _ = row
    return Session(
        id=session_id,
        tenant=tenant,
        agent=agent,
        mode=Mode(mode),
        opened_at=moment(opened),
        expires_at=moment(expires),
        risk_limit=risk_limit,
        implicit=bool(implicit),
        purpose=purpose,
        state=SessionState(state),
    )


def intent_values(intent: Intent) -> Row:
    """Return the values of an intent in the order of `intent_rows`, `step_id` to `at`."""
    return (
        intent.step_id,
        intent.session_id,
        intent.tenant,
        intent.agent,
        intent.server,
        intent.tool,
        intent.effect,
        intent.recovery,
        intent.arguments,
        intent.arguments_sha256,
        intent.epoch,
        micros(intent.at),
    )


def step_of(row: Row) -> StepRow:
    """Return the step of a row of `intent_rows`, `seq` to `context`."""
    _, step_id, session_id, tenant, agent, server, tool, effect, recovery, arguments = row[:10]
    sha256, epoch, at_us, number, state, detail, decision_id, revision, risk = row[10:19]
    holder, context = row[19], json.loads(row[20])
    intent = Intent(
        step_id=step_id,
        session_id=session_id,
        tenant=tenant,
        agent=agent,
        server=server,
        tool=tool,
        effect=Effect(effect),
        recovery=Recovery(recovery),
        arguments=arguments,
        arguments_sha256=sha256,
        epoch=epoch,
        at=moment(at_us),
        continues=context.get("continues", ""),
        holder=holder,
        timeout_s=context.get("timeout_s", 20.0),
        roles=tuple(context.get("roles", ())),
        mode=Mode(context.get("mode", Mode.READ_WRITE)),
        extras=context.get("extras", "{}").encode(),
        meta=context.get("meta", "{}").encode(),
    )
    return StepRow(intent, number, IntentState(state), detail, decision_id, revision, risk)


def credential_values(credential: PendingCredential) -> Row:
    """Return the values of a credential from `lease_id` to `expires_at`."""
    return (
        credential.lease_id,
        credential.broker,
        credential.audience,
        _compact(credential.scope),
        micros(credential.expires_at),
    )


def decision_values(record: DecisionRecord) -> Row:
    """Return the values of an audit record in the order of `decision_rows`, after `seq`."""
    return (
        record.decision_id,
        micros(record.at),
        record.step_id,
        record.tenant,
        record.agent,
        record.session_id,
        record.resource_id,
        record.effect,
        record.verdict,
        _compact([(given.id, given.message) for given in record.reasons]),
        record.arguments_sha256,
        record.policy_revision,
        record.epoch,
        record.dry_run,
        record.risk,
    )


def decision_of(row: Row) -> DecisionRecord:
    """Return the audit record of a row of `decision_rows`."""
    _, decision_id, at_us, step_id, tenant, agent, session_id, resource_id, effect = row[:9]
    verdict, reasons, sha256, revision, epoch, dry_run, risk = row[9:]
    return DecisionRecord(
        decision_id=decision_id,
        at=moment(at_us),
        step_id=step_id,
        tenant=tenant,
        agent=agent,
        session_id=session_id,
        resource_id=resource_id,
        effect=effect,
        verdict=verdict,
        reasons=tuple(Reason(reason_id, message) for reason_id, message in json.loads(reasons)),
        arguments_sha256=sha256,
        policy_revision=revision,
        epoch=epoch,
        dry_run=bool(dry_run),
        risk=risk,
    )


def order_values(order: KillOrder) -> Row:
    """Return the values of an order from `order_id` to `lifts`."""
    return (
        order.id,
        order.action,
        scope_keys(order.scopes),
        order.actor,
        order.reason,
        micros(order.at),
        order.lifts,
    )


def entry_of(row: Row) -> KillEntry:
    """Return the entry of a row of `kills`, `epoch` to `lifts`."""
    epoch, order_id, action, scopes, actor, reason, at_us, lifts = row
    order = KillOrder(
        id=order_id,
        action=KillAction(action),
        scopes=tuple(scope_of(key) for key in json.loads(scopes)),
        actor=actor,
        reason=reason,
        at=moment(at_us),
        lifts=lifts,
    )
    return KillEntry(epoch, order)


def alert_values(alert: Alert) -> Row:
    """Return the values of an alert from `alert_id` to `step_id`."""
    return (
        alert.id,
        micros(alert.at),
        alert.kind,
        alert.severity,
        alert.message,
        alert.tenant,
        alert.agent,
        alert.session_id,
        alert.step_id,
    )


def alert_of(row: Row) -> Alert:
    """Return the alert of a row of `alerts`, `alert_id` to `step_id`."""
    alert_id, at_us, kind, severity, message, tenant, agent, session_id, step_id = row
    return Alert(
        id=alert_id,
        at=moment(at_us),
        kind=kind,
        severity=Severity(severity),
        message=message,
        tenant=tenant,
        agent=agent,
        session_id=session_id,
        step_id=step_id,
    )


def recent_of(steps: Sequence[Row], decisions: Sequence[Row]) -> tuple[RecentStep, ...]:
    """Join decisions and steps, newest first both; a step and its decision are written together."""
    states = {step_id: state for _number, step_id, state in steps}
    recent = [
        RecentStep(tool, verdict, states[step_id])
        if step_id in states
        else RecentStep(tool, verdict, _outcome_without_step(verdict, dry_run))
        for step_id, tool, verdict, dry_run in reversed(decisions)
    ]
    return tuple(recent)


def _outcome_without_step(verdict: str, dry_run: bool | int) -> str:
    """Return what became of a decision that reserved nothing, so nothing was sent."""
    if verdict != Verdict.DENY and dry_run:
        return Outcome.DRY_RUN
    if verdict == Verdict.ALLOW:
        return Outcome.PERMITTED
    return Outcome.PENDING_APPROVAL if verdict == Verdict.HOLD else Outcome.DENIED
