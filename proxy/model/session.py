"""Who calls, and the bounded run they call in."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Mode(StrEnum):
    """What a session may do at most."""

    READ_ONLY = "read_only"
    DRY_RUN = "dry_run"
    READ_WRITE = "read_write"

    @property
    def rank(self) -> int:
        """Larger permits more."""
        return (Mode.READ_ONLY, Mode.DRY_RUN, Mode.READ_WRITE).index(self)


class SessionState(StrEnum):
    """Where a session stands; only an open one admits calls."""

    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated agent. `dry_run`: its calls are previewed whatever it asks."""

    tenant: str
    agent: str
    roles: tuple[str, ...] = ()
    max_mode: Mode = Mode.READ_WRITE
    dry_run: bool = False


ALL_TENANTS = "*"


@dataclass(frozen=True, slots=True)
class Operator:
    """A person or automation on the operators' plane; `tenants` may be `("*",)`."""

    name: str
    roles: tuple[str, ...]
    tenants: tuple[str, ...]

    def covers(self, tenant: str) -> bool:
        """Whether this operator may act on that tenant."""
        return ALL_TENANTS in self.tenants or tenant in self.tenants


@dataclass(frozen=True, slots=True)
class Session:
    """One bounded run of an agent. `risk_limit` is in points of risk."""

    id: str
    tenant: str
    agent: str
    mode: Mode
    opened_at: datetime
    expires_at: datetime
    risk_limit: int
    implicit: bool = False
    purpose: str = ""
    state: SessionState = SessionState.OPEN

    def is_open_at(self, at: datetime) -> bool:
        """Whether it admits calls at that time."""
        return self.state is SessionState.OPEN and self.expires_at > at


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A budget at one moment, in points of risk: `used` is done, `held` is open."""

    limit: int
    used: int = 0
    held: int = 0

    @property
    def left(self) -> int:
        """Points that can still be reserved."""
        return self.limit - self.used - self.held


@dataclass(frozen=True, slots=True)
class RecentStep:
    """One earlier step of the session, as policies see it."""

    tool: str
    verdict: str
    outcome: str


@dataclass(frozen=True, slots=True)
class SessionView:
    """What the ledger knows of a session and its agent when a call is decided.

    `labels` belong to the agent and follow it into every session; `locked` holds the reason while
    the agent is locked. `approvals`: operators were asked about a call of this agent, and the time
    to answer or to use the answer is not over.
    """

    session: Session
    step: int
    budget: BudgetView
    agent_budget: BudgetView
    labels: tuple[str, ...] = ()
    locked: str | None = None
    dry_run: bool = False
    approvals: bool = False
    recent: tuple[RecentStep, ...] = ()
