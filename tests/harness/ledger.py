"""What a ledger is given in tests: sessions, reservations, orders, with only what matters named."""

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from proxy.model.decision import Reason
from proxy.model.finding import Alert, Severity
from proxy.model.kill import GLOBAL, KillAction, KillOrder, Scope, scopes_of
from proxy.model.ledger import (
    Claim,
    DecisionRecord,
    Hold,
    Intent,
    IntentState,
    Limits,
    PendingCredential,
    Reservation,
    Settlement,
)
from proxy.model.session import Mode, Session
from proxy.model.tool import Effect, Recovery

NOW = datetime(2026, 11, 22, 9, 0, 0, 123456, tzinfo=UTC)
WINDOW_S = 3600
LIMITS = Limits(session_risk=100, agent_risk=1000, window_s=WINDOW_S)
ARGUMENTS = b'{"message":"hello"}'


def after(seconds: float) -> datetime:
    """Return the time so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def session(session_id: str = "ses1", agent: str = "loop", **changes: Any) -> Session:
    """Return a session of tenant acme, open for an hour."""
    given = Session(
        id=session_id,
        tenant="acme",
        agent=agent,
        mode=Mode.READ_WRITE,
        opened_at=NOW,
        expires_at=after(3600),
        risk_limit=100,
        purpose="nightly",
    )
    return replace(given, **changes)


SESSION = session()


@dataclass(frozen=True)
class Call:
    """What a test says about a call; `reservation` fills in the rest. `risk` in points."""

    step: str = "stp1"
    session: Session = SESSION
    risk: int = 5
    epoch: int = 0
    key: str | None = None
    body: bytes = ARGUMENTS
    labels: tuple[str, ...] = ()
    credential: bool = False
    at: datetime = NOW
    agent_limit: int = 1000

    @property
    def intent(self) -> Intent:
        """The intent of the call."""
        return Intent(
            step_id=self.step,
            session_id=self.session.id,
            tenant=self.session.tenant,
            agent=self.session.agent,
            server="repo",
            tool="git_commit",
            effect=Effect.WRITE,
            recovery=Recovery.PROBE,
            arguments=self.body,
            arguments_sha256=hashlib.sha256(self.body).hexdigest(),
            epoch=self.epoch,
            at=self.at,
        )

    @property
    def decision(self) -> DecisionRecord:
        """The allow the call was reserved under."""
        return decision(
            f"dec-{self.step}", step_id=self.step, session=self.session, risk=self.risk, at=self.at
        )

    @property
    def holds(self) -> tuple[Hold, ...]:
        """The session's fixed account and the agent's rolling one."""
        owner = self.session
        return (
            Hold(f"session:{owner.id}", owner.risk_limit, self.risk),
            Hold(f"agent:{owner.tenant}/{owner.agent}", self.agent_limit, self.risk, WINDOW_S),
        )

    def reservation(self) -> Reservation:
        """Everything that becomes durable before the effect."""
        owner = self.session
        digest = hashlib.sha256(self.body).hexdigest()
        pending = PendingCredential(
            f"lease-{self.step}", "jwt", "https://tool", ("repo:write",), after(30)
        )
        return Reservation(
            intent=self.intent,
            decision=self.decision,
            scopes=scopes_of(owner.tenant, owner.agent, owner.id, "repo/git_commit"),
            holds=self.holds,
            labels=self.labels,
            claim=Claim(self.key, digest) if self.key else None,
            credential=pending if self.credential else None,
        )


def decision(
    decision_id: str, *, step_id: str = "", session: Session = SESSION, **changes: Any
) -> DecisionRecord:
    """Return the audit record of an allow."""
    given = DecisionRecord(
        decision_id=decision_id,
        at=NOW,
        step_id=step_id,
        tenant=session.tenant,
        agent=session.agent,
        session_id=session.id,
        resource_id="repo/git_commit",
        effect="write",
        verdict="allow",
        reasons=(Reason("write-in-workspace", "Inside the workspace."),),
        arguments_sha256="0" * 64,
        policy_revision="git:abc",
        epoch=0,
        risk=5,
    )
    return replace(given, **changes)


def settled(
    step: str = "stp1", state: IntentState = IntentState.DONE, at: datetime = NOW, **changes: Any
) -> Settlement:
    """Return the settlement of a step."""
    return replace(Settlement(step, state, at), **changes)


def kill(order_id: str, *scopes: Scope) -> KillOrder:
    """Return an order that kills these scopes, everything when there are none."""
    return KillOrder(order_id, KillAction.KILL, scopes or (GLOBAL,), "oncall", "drill", NOW)


def lift(order_id: str, epoch: int, *scopes: Scope) -> KillOrder:
    """Return an order that lifts the kill of that epoch."""
    return KillOrder(
        order_id, KillAction.LIFT, scopes or (GLOBAL,), "oncall", "over", NOW, lifts=epoch
    )


def alert(alert_id: str = "alt1", **changes: Any) -> Alert:
    """Return a critical alert."""
    return replace(
        Alert(alert_id, NOW, "canary-touched", Severity.CRITICAL, "A canary was touched.", "acme"),
        **changes,
    )
