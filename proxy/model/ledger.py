"""What the ledger takes and gives: reservations, settlements, records."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from proxy.model.approval import Approval
from proxy.model.decision import Reason
from proxy.model.kill import Scope
from proxy.model.session import Mode
from proxy.model.tool import Effect, Recovery


class Outcome(StrEnum):
    """What is known of a call when it is answered.

    Permitted: an agent may run the tool itself; what came of it, it says later.
    """

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    DRY_RUN = "dry_run"
    PENDING_APPROVAL = "pending_approval"
    INPUT_REQUIRED = "input_required"
    PERMITTED = "permitted"
    DENIED = "denied"


class IntentState(StrEnum):
    """Life of an intent: intent, sending, then done, failed or unknown.

    Recovery makes of an unknown one done, failed, aborted (it never happened) or stuck: only a
    person can tell.
    """

    INTENT = "intent"
    SENDING = "sending"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    ABORTED = "aborted"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """The audit record of one decision or refusal; never an argument's value, only its hash.

    `step_id` is empty for what was refused before it was a step.
    """

    decision_id: str
    at: datetime
    step_id: str
    tenant: str
    agent: str
    session_id: str
    resource_id: str
    effect: str
    verdict: str
    reasons: tuple[Reason, ...]
    arguments_sha256: str
    policy_revision: str
    epoch: int
    dry_run: bool = False
    risk: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """Points reserved on one account. `window_s` makes it a rolling budget, None a fixed one.

    `account` is `session:<id>` or `agent:<tenant>/<agent>`.
    """

    account: str
    limit: int
    risk: int
    window_s: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """An idempotency key, scoped to tenant, agent and session by its reservation."""

    key: str
    request_sha256: str


@dataclass(frozen=True, slots=True)
class PendingCredential:
    """A credential about to be minted: written before the mint, so an orphan is found."""

    lease_id: str
    broker: str
    audience: str
    scope: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to happen at a tool.

    `continues` is the step of the first round when a tool asked for input: a further round is the
    same logical step and has its number.

    The rest is for a further attempt after a crash: `holder` is whose kill lease it was reserved
    under (`name/holder` of a sidecar), `timeout_s` the tool's time limit, `roles` and `mode` the
    caller's, `extras` and `meta` those of the call.
    """

    step_id: str
    session_id: str
    tenant: str
    agent: str
    server: str
    tool: str
    effect: Effect
    recovery: Recovery
    arguments: bytes
    arguments_sha256: str
    epoch: int
    at: datetime
    continues: str = ""
    holder: str = ""
    timeout_s: float = 20.0
    roles: tuple[str, ...] = ()
    mode: Mode = Mode.READ_WRITE
    extras: bytes = b"{}"
    meta: bytes = b"{}"

    @property
    def resource_id(self) -> str:
        """`server/tool`."""
        return f"{self.server}/{self.tool}"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Everything that becomes durable in one transaction before a side effect.

    `scopes` are checked against the kill log inside the transaction. `labels` are added to the
    agent. The budget rows named by `holds` are charged with their `risk` as held. `approval` is
    used up.
    """

    intent: Intent
    decision: DecisionRecord
    scopes: tuple[Scope, ...]
    holds: tuple[Hold, ...]
    labels: tuple[str, ...] = ()
    claim: Claim | None = None
    credential: PendingCredential | None = None
    approval: Approval | None = None


class ReserveStatus(StrEnum):
    """How a reservation ended; only RESERVED goes on."""

    RESERVED = "reserved"
    KILLED = "killed"
    LOCKED = "locked"
    SESSION_CLOSED = "session_closed"
    BUDGET_EXHAUSTED = "budget_exhausted"
    APPROVAL_SPENT = "approval_spent"
    REPLAY = "replay"
    RUNNING = "running"
    MISMATCH = "mismatch"


@dataclass(frozen=True, slots=True)
class Reserved:
    """The answer to a reservation. `answer` is the stored answer of a replayed key (JSON)."""

    status: ReserveStatus
    attempt: int = 1
    number: int = 0
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What was observed. Done moves the held points to used, failed gives them back,
    unknown keeps them held. `answer` is kept for a replay when the step had a key.
    `labels` are added to the agent. `spent`: the points are used now, whatever the state.
    """

    step_id: str
    state: IntentState
    at: datetime
    detail: str = ""
    answer: bytes | None = None
    labels: tuple[str, ...] = ()
    spent: bool = False


@dataclass(frozen=True, slots=True)
class StepRow:
    """An intent as the ledger lists it."""

    intent: Intent
    number: int
    state: IntentState
    detail: str
    decision_id: str
    policy_revision: str
    risk: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of an agent, in points of risk; the agent's budget rolls over `window_s` seconds."""

    session_risk: int
    agent_risk: int
    window_s: int
