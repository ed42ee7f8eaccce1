"""Reservations and settlements as the functions of the database take them."""

import json
from collections.abc import Sequence
from typing import Any

from proxy.model.approval import Approval
from proxy.model.ledger import (
    Claim,
    Hold,
    IntentState,
    Reservation,
    Reserved,
    ReserveStatus,
    Settlement,
)
from proxy.stores.accounts import are_sane, horizon_us
from proxy.stores.recovery_rows import intent_context
from proxy.stores.rows import credential_values, decision_values, micros, scope_key

SETTLED = (IntentState.DONE, IntentState.FAILED, IntentState.UNKNOWN)


def asked_of(reservation: Reservation, instance: int) -> str:
    """Return what `reserve` is asked, as JSON; the arguments travel beside it, as bytes."""
    intent, credential = reservation.intent, reservation.credential
    at_us = micros(intent.at)
    sane = are_sane(reservation.holds)
    holds = reservation.holds if sane else ()
    return json.dumps(
        {
            "instance": instance,
            "step_id": intent.step_id,
            "session_id": intent.session_id,
            "tenant": intent.tenant,
            "agent": intent.agent,
            "server": intent.server,
            "tool": intent.tool,
            "resource_id": intent.resource_id,
            "effect": intent.effect,
            "recovery": intent.recovery,
            "arguments_sha256": intent.arguments_sha256,
            "epoch": intent.epoch,
            "at": at_us,
            "continues": intent.continues,
            "holder": intent.holder,
            "context": intent_context(intent),
            "decision": decision_values(reservation.decision),
            "scopes": [scope_key(scope) for scope in reservation.scopes],
            "claim": _claim(reservation.claim),
            "sane": sane,
            "holds": [_hold(hold, at_us) for hold in holds],
            "held": [(hold.account, hold.risk, hold.window_s) for hold in holds],
            "labels": reservation.labels,
            "approval": _approval(reservation.approval),
            "credential": None if credential is None else credential_values(credential),
        }
    )


def settled_of(settlement: Settlement) -> str:
    """Return what `settle` is asked, as JSON; the answer travels beside it, as bytes.

    Raises ValueError for a state that is no outcome.
    """
    if settlement.state not in SETTLED:
        raise ValueError("A step is settled as done, failed or unknown.")
    return json.dumps(
        {
            "step_id": settlement.step_id,
            "state": settlement.state,
            "at": micros(settlement.at),
            "detail": settlement.detail,
            "labels": settlement.labels,
            "spent": settlement.spent,
        }
    )


def reserved_of(row: Sequence[Any]) -> Reserved:
    """Return the reservation of (status, number, answer)."""
    status, number, answer = row
    return Reserved(ReserveStatus(status), number=number, answer=answer)


def _hold(hold: Hold, at_us: int) -> dict[str, Any]:
    rolling = hold.window_s is not None and hold.window_s > 0
    return {
        "account": hold.account,
        "risk": hold.risk,
        "limit": hold.limit,
        "horizon_us": horizon_us(hold.window_s or 0, at_us) if rolling else None,
    }


def _claim(claim: Claim | None) -> dict[str, str] | None:
    return None if claim is None else {"key": claim.key, "request_sha256": claim.request_sha256}


def _approval(approval: Approval | None) -> dict[str, str] | None:
    if approval is None:
        return None
    binding = approval.binding
    return {
        "id": approval.id,
        "request_sha256": binding.request_sha256,
        "tool_pin": binding.tool_pin,
        "policy_revision": binding.policy_revision,
    }
