"""The store port, in the nouns of the ledger. Every method is durable when it returns.

All methods raise StoreUnavailable when the write did not become durable.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from proxy.model.approval import Approval, ApprovalState, Binding, Ruling
from proxy.model.finding import Alert
from proxy.model.hook import HookKey
from proxy.model.kill import KillEntry, KillOrder, KillVerdict, Scope
from proxy.model.lease import Grant, Renewal
from proxy.model.ledger import (
    Claim,
    DecisionRecord,
    Limits,
    Reservation,
    Reserved,
    Settlement,
    StepRow,
)
from proxy.model.session import ALL_TENANTS, Session, SessionView
from proxy.stores.recovery import Recoveries


class Sessions(Protocol):
    """Sessions, and what follows an agent through all of them: locks, labels, budgets."""

    async def open_session(self, session: Session, token_sha256: str | None, cap: int) -> Session:
        """Store a session, or for an implicit one return the open one the agent already has.

        `cap` bounds the agent's open explicit sessions. Raises Refused: agent-locked,
        too-many-sessions.
        """
        ...

    async def session_by_token(self, token_sha256: str) -> Session | None:
        """Return the session a token was issued for, whatever its state."""
        ...

    async def session(self, session_id: str) -> Session | None:
        """Return a session."""
        ...

    async def end_session(self, session_id: str, at: datetime) -> None:
        """End a session; ending one again changes nothing."""
        ...

    async def sessions(
        self, limit: int, tenants: Sequence[str] = (ALL_TENANTS,)
    ) -> tuple[Session, ...]:
        """Return the newest sessions of these tenants, open ones first; no tenant, no session."""
        ...

    async def view(self, session: Session, limits: Limits, at: datetime) -> SessionView:
        """Return what a decision needs to know of this session and its agent at that time."""
        ...

    async def lock_agent(self, tenant: str, agent: str, reason: str, at: datetime) -> None:
        """Lock an agent in every session, present and future."""
        ...

    async def unlock_agent(self, tenant: str, agent: str) -> bool:
        """Unlock; return whether it was locked."""
        ...

    async def set_dry_run(self, scope: Scope, on: bool, actor: str, at: datetime) -> None:
        """Toggle dry run for global, a tenant, an agent or a session."""
        ...

    async def dry_run_scopes(self) -> tuple[Scope, ...]:
        """Return the scopes whose dry-run toggle is on."""
        ...


class Hooks(Protocol):
    """Sessions as agents with hooks name them, and the tool uses that join a hook to a call."""

    async def hook_session(self, tenant: str, agent: str, key: HookKey) -> Session | None:
        """Return the newest session of that name, whatever its state."""
        ...

    async def open_hook_session(self, session: Session, key: HookKey, cap: int) -> Session:
        """Store a session under a name, or return the open one of that name.

        `cap` is that of `open_session`; idle sessions of that kind end before it refuses. Raises
        Refused: agent-locked, too-many-sessions.
        """
        ...

    async def announce(self, session: Session, tool_use_id: str, at: datetime) -> None:
        """Say that a tool use will come as a call of this session; the first word stands."""
        ...

    async def carry(self, tenant: str, agent: str, tool_use_id: str) -> Session | None:
        """Note that a tool use came as a call; return the session it was announced in, if any."""
        ...

    async def is_carried(self, tenant: str, agent: str, tool_use_id: str) -> bool | None:
        """Whether an announced tool use came as a call; None when nobody announced it."""
        ...


class Ledger(Protocol):
    """Intents before effects, outcomes after them."""

    async def reserve(self, reservation: Reservation) -> Reserved:
        """Make everything of the reservation durable in one transaction, or none of it.

        Order inside: idempotency claim (a replay is answered even when killed later), session
        open, agent unlocked, no kill covers `scopes` (active, or newer than the intent's epoch),
        budgets have room, the approval it names is used up, then write.
        """
        ...

    async def claimed(self, session: Session, claim: Claim) -> Reserved | None:
        """Return how a reservation with this key would be answered, None for a new key."""
        ...

    async def step_of(self, session: Session, key: str) -> StepRow | None:
        """Return the step of a session that claimed this idempotency key."""
        ...

    async def mark_sending(self, step_id: str) -> None:
        """Record that the send is about to begin (tools whose recovery is opaque)."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Record what was observed and move the held budget; settling again changes nothing."""
        ...

    async def record(self, decision: DecisionRecord) -> None:
        """Write the audit record of a decision that made no reservation."""
        ...

    async def open_intents_to_unknown(self, at: datetime) -> tuple[StepRow, ...]:
        """Mark open intents that nobody will settle unknown and return them; budgets stay held.

        On start: its own, and those of replicas that have died since.
        """
        ...

    async def steps(
        self,
        session_id: str | None,
        states: Sequence[str],
        limit: int,
        tenants: Sequence[str] = (ALL_TENANTS,),
    ) -> tuple[StepRow, ...]:
        """Return steps of these tenants, newest first; empty `states` means all states."""
        ...

    async def decisions(self, limit: int, tenants: Sequence[str]) -> tuple[DecisionRecord, ...]:
        """Return audit records, newest first; `("*",)` means every tenant."""
        ...


class Approvals(Protocol):
    """What operators are asked, and what they said. Their use is part of `Ledger.reserve`.

    An approval is overtaken, and as good as expired, once a kill or a lift of its scopes is newer
    than its epoch. One that is read has the state it is in at the time given.
    """

    async def ask_approval(self, asked: Approval, cap: int) -> Approval | None:
        """Store a pending approval, or return the one that stands for the same binding.

        None when the agent has `cap` of them pending already.
        """
        ...

    async def standing_approval(self, binding: Binding, at: datetime) -> Approval | None:
        """Return the approval for exactly this binding: pending, approved or denied, in its time.

        Used, expired and overtaken ones do not stand.
        """
        ...

    async def approval(self, approval_id: str, at: datetime) -> Approval | None:
        """Return an approval."""
        ...

    async def approvals(
        self, state: ApprovalState | None, tenants: Sequence[str], limit: int, at: datetime
    ) -> tuple[Approval, ...]:
        """Return approvals, newest first; `("*",)` means every tenant, no state every state."""
        ...

    async def rule_approval(self, ruling: Ruling) -> bool:
        """Approve or deny a pending approval; False when it is not pending (any more)."""
        ...


class KillLog(Protocol):
    """Kills and lifts by epoch; their writes go before all others."""

    async def append_kill(self, order: KillOrder) -> KillEntry:
        """Commit an order under the next epoch; the same order id gives the same entry."""
        ...

    async def kill_log(self) -> tuple[KillEntry, ...]:
        """Return the whole log in order."""
        ...

    async def record_kill_verdict(self, epoch: int, step_id: str, verdict: KillVerdict) -> None:
        """Record what became of a call the kill met in flight; the last word stands."""
        ...

    async def kill_verdicts(self, epoch: int) -> dict[str, KillVerdict]:
        """Return step id to verdict of one kill."""
        ...


class KillLeases(Protocol):
    """Who may start calls, as the kill log knows it; a holder is one process."""

    async def renew(self, renewal: Renewal) -> Grant:
        """Write that a holder lives, then answer with the log after the epoch it knows.

        Every kill that was committed before it was asked is in it. It is a write, so a standby, or
        an old primary whose commits nobody confirms any more, grants nothing. `remaining_s` is
        infinite: the holder's own terms bound it.
        """
        ...

    async def acknowledge(self, holder: str, epoch: int) -> None:
        """Note that a holder obeys every kill up to this epoch."""
        ...

    async def leave(self, holder: str) -> None:
        """Note that a holder starts nothing any more."""
        ...

    async def pushed(self, known: int) -> None:
        """Return as soon as there is a newer epoch; waits for ever while there is none."""
        ...

    async def holders(self) -> dict[str, int]:
        """Return the epoch each holder obeys, of those that asked within the last minute."""
        ...


class Outbox(Protocol):
    """Alerts until they are delivered: at least once, one id."""

    async def enqueue_alert(self, alert: Alert) -> None:
        """Store an alert for delivery."""
        ...

    async def due_alerts(self, now: datetime, limit: int) -> tuple[tuple[Alert, int], ...]:
        """Return undelivered alerts that are due, with the number of tries so far."""
        ...

    async def alert_delivered(self, alert_id: str, at: datetime) -> None:
        """Never deliver it again."""
        ...

    async def alert_failed(self, alert_id: str, next_at: datetime) -> None:
        """Count a try and wait until `next_at`."""
        ...


class SharedKeys(Protocol):
    """Random keys that every process on a ledger has."""

    async def shared_key(self, name: str) -> bytes:
        """Return the 32 bytes of that name, made by whoever asks first."""
        ...


class Store(
    Sessions,
    Hooks,
    Ledger,
    Recoveries,
    Approvals,
    KillLog,
    KillLeases,
    Outbox,
    SharedKeys,
    Protocol,
):
    """All of the above, with a life."""

    async def open(self) -> None:
        """Take the ledger, exclusively where it cannot be shared.

        Raises StoreInUse, SchemaNewer, StoreUnavailable.
        """
        ...

    async def close(self) -> None:
        """Finish queued writes and let go."""
        ...

    async def ping(self) -> None:
        """Return when a write would become durable. Raises StoreUnavailable."""
        ...
