"""What operators read: rows of the ledger as JSON. Hashes of arguments, never arguments."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from proxy.killswitch.switch import KillReport
from proxy.model.kill import KillOrder, Scope
from proxy.model.lease import Effectiveness, HolderState
from proxy.model.ledger import DecisionRecord, StepRow
from proxy.model.session import Session
from proxy.monitors.integrity import Irregularity

Document = dict[str, Any]


def time_text(at: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with milliseconds."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def scope_documents(scopes: Iterable[Scope]) -> list[Document]:
    """Return `{kind, id}` each."""
    return [{"kind": scope.kind.value, "id": scope.id} for scope in scopes]


def report_document(report: KillReport, effects: Effectiveness | None) -> Document:
    """Return the answer to a kill; without effects it is not committed, but halts here."""
    return {
        "epoch": report.epoch,
        "order_id": report.order_id,
        "committed": report.committed,
        "committed_at": time_text(report.committed_at),
        "halted_locally": True,
        "scopes": scope_documents(report.scopes),
        "in_flight": report.in_flight,
        **effects_document(effects),
    }


def effects_document(effects: Effectiveness | None) -> Document:
    """Return how far a kill has come: who may start calls and obeys it, or may not any more."""
    return {
        "effective": effects is not None and effects.effective,
        "deadline": time_text(effects.deadline if effects else None),
        "holders": {state.value: effects.count(state) if effects else 0 for state in HolderState},
    }


def order_document(order: KillOrder) -> Document:
    """Return a kill or lift as it was given."""
    return {
        "order_id": order.id,
        "scopes": scope_documents(order.scopes),
        "actor": order.actor,
        "reason": order.reason,
        "at": time_text(order.at),
    }


def session_document(session: Session) -> Document:
    """Return a session; its token is known to nobody."""
    return {
        "id": session.id,
        "tenant": session.tenant,
        "agent": session.agent,
        "mode": session.mode.value,
        "state": session.state.value,
        "opened_at": time_text(session.opened_at),
        "expires_at": time_text(session.expires_at),
        "risk_limit": session.risk_limit,
        "implicit": session.implicit,
        "purpose": session.purpose,
    }


def step_document(row: StepRow) -> Document:
    """Return a step; `at_epoch_s` is the intent's time in seconds since the epoch."""
    intent = row.intent
    return {
        "step_id": intent.step_id,
        "number": row.number,
        "tenant": intent.tenant,
        "agent": intent.agent,
        "session_id": intent.session_id,
        "tool": intent.resource_id,
        "effect": intent.effect.value,
        "recovery": intent.recovery.value,
        "state": row.state.value,
        "detail": row.detail,
        "risk": row.risk,
        "at": time_text(intent.at),
        "at_epoch_s": intent.at.timestamp(),
        "arguments_sha256": intent.arguments_sha256,
        "decision_id": row.decision_id,
        "policy_revision": row.policy_revision,
        "epoch": intent.epoch,
    }


def finding_document(found: Irregularity) -> Document:
    """Return what is wrong with a tool; `other` is the reviewed tool it may be taken for."""
    return {
        "kind": found.kind.value,
        "severity": found.severity.value,
        "tool": found.tool,
        "other": found.other or None,
        "message": found.message,
    }


def decision_document(record: DecisionRecord) -> Document:
    """Return an audit record."""
    return {
        "decision_id": record.decision_id,
        "at": time_text(record.at),
        "step_id": record.step_id,
        "tenant": record.tenant,
        "agent": record.agent,
        "session_id": record.session_id,
        "tool": record.resource_id,
        "effect": record.effect,
        "verdict": record.verdict,
        "reasons": [{"id": why.id, "message": why.message} for why in record.reasons],
        "arguments_sha256": record.arguments_sha256,
        "policy_revision": record.policy_revision,
        "epoch": record.epoch,
        "dry_run": record.dry_run,
        "risk": record.risk,
    }
