"""Steps whose outcome nobody knows, and what is made of them."""

from dataclasses import dataclass
from datetime import datetime

from proxy.model.kill import Scope
from proxy.model.ledger import IntentState, PendingCredential, StepRow


@dataclass(frozen=True, slots=True)
class Lent:
    """The credential of a step. `ended`: it was given back, or revoked, or never needed to be."""

    lease_id: str
    broker: str
    expires_at: datetime
    ended: bool


@dataclass(frozen=True, slots=True)
class OpenStep:
    """An unsettled step with what recovery has to know of it.

    `left_as` is the state that an owner who is gone left it in, None when the owner itself called
    it unknown. `since` is when it became unknown, or the intent's own time before that; `tries`
    counts what recovery has tried. `key` is the idempotency key of the agent.
    """

    row: StepRow
    left_as: IntentState | None
    since: datetime
    tries: int = 0
    key: str | None = None
    lent: Lent | None = None

    @property
    def id(self) -> str:
        """The step's id."""
        return self.row.intent.step_id


@dataclass(frozen=True, slots=True)
class Take:
    """Take unsettled steps for oneself until `until`: nobody else gets them before.

    `by` names the taker. An owner counts as gone when nothing was heard of it for `gone_after_s`.
    """

    by: str
    at: datetime
    until: datetime
    gone_after_s: float
    limit: int = 20


@dataclass(frozen=True, slots=True)
class Covered:
    """Open steps under a kill whose holders do not obey it; `spared` names the holders that do."""

    epoch: int
    scopes: tuple[Scope, ...]
    spared: tuple[str, ...]
    by: str
    at: datetime
    until: datetime
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Resumption:
    """A further attempt of a taken step: checked as a reservation is, under the current epoch."""

    step_id: str
    by: str
    tenant: str
    agent: str
    session_id: str
    scopes: tuple[Scope, ...]
    epoch: int
    at: datetime
    credential: PendingCredential | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an unknown step is: done, failed, aborted or stuck.

    `by` names who has taken the step; None is an operator, who settles stuck ones only. `answer` is
    kept for a replay when the step had a key.
    """

    step_id: str
    state: IntentState
    at: datetime
    detail: str
    by: str | None = None
    answer: bytes | None = None
