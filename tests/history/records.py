"""What happened, told by those who saw it: clients, tools, operators, gateways, the ledger.

Times are seconds of one reference clock (CLOCK_BOOTTIME of the machine that judges); `clock` names
the clock a record was taken with, and `History.clocks` how far that one may be off. A record says
only what its author can know: a client knows when it asked and when it was answered, and a kill is
committed somewhere in between.
"""

from dataclasses import dataclass

from proxy.model.kill import KillAction, KillVerdict, Scope, scopes_of
from proxy.model.tool import Recovery

REFERENCE = "boot"
KILL_BOUND_S = 3.0

OPEN = frozenset({"intent", "sending"})
UNSETTLED = OPEN | {"unknown"}
HOLDING = UNSETTLED | {"stuck"}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose call of which tool (`server/tool`)."""

    tenant: str
    agent: str
    session: str
    tool: str

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Every kill scope it stands under."""
        return scopes_of(self.tenant, self.agent, self.session, self.tool)


@dataclass(frozen=True, slots=True)
class Call:
    """A call as its client saw it; `end` is None when the client did not see an answer.

    `request` stands for the canonical request, `result` for the tool's result in the answer.
    """

    start: float
    end: float | None
    subject: Subject
    request: str
    key: str = ""
    status: int = 0
    outcome: str = ""
    reason: str = ""
    step_id: str = ""
    result: str = ""
    clock: str = REFERENCE


@dataclass(frozen=True, slots=True)
class Start:
    """A call that a process let start: last look, the moment after the write, end of its lease.

    `write_at` is None when the process was gone before it could look back. `tier` as published for
    the tool: A, B or C.
    """

    at: float
    write_at: float | None
    replica: str
    holder: str
    step_id: str
    subject: Subject
    epoch: int
    until: float
    tier: str = "B"
    is_undo: bool = False
    clock: str = REFERENCE


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request brought along: its id in the ledger, its epoch, its end."""

    id: str
    epoch: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as the tool saw it. `had_effect`: the tool did it, and had not done it before."""

    at: float
    marker: str
    tool: str
    had_effect: bool = True
    accepted: bool = True
    credential: Credential | None = None
    clock: str = REFERENCE


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill or lift as an operator saw it.

    `committed_by`: the first time somebody knew that it was in the log; None, nobody ever did.
    `effective_at`: when it was answered that it is.
    """

    asked_at: float
    action: KillAction
    scopes: tuple[Scope, ...]
    epoch: int | None = None
    committed_by: float | None = None
    acknowledged: bool = False
    effective_at: float | None = None
    lifts: int | None = None
    clock: str = REFERENCE


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the kill log as it stands at the end."""

    epoch: int
    action: KillAction
    scopes: tuple[Scope, ...]
    lifts: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A row of the ledger as it stands at the end. `marker` is what its arguments carry."""

    step_id: str
    subject: Subject
    marker: str
    state: str
    at: float
    epoch: int
    risk: int
    recovery: Recovery
    detail: str = ""
    settled_at: float | None = None
    key: str = ""
    request: str = ""
    timeout_s: float = 20.0
    accounts: tuple[str, ...] = ()
    credential: str = ""
    clock: str = REFERENCE


@dataclass(frozen=True, slots=True)
class Change:
    """A state of a step that became another, as somebody saw it who looked again and again."""

    at: float
    step_id: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Account:
    """A budget at some time; `is_last` when nothing came after it. Rolling ones forget."""

    at: float
    account: str
    limit: int
    used: int
    held: int
    is_last: bool = False
    is_rolling: bool = False


@dataclass(frozen=True, slots=True)
class Renewal:
    """A holder asked for its kill lease."""

    at: float
    holder: str
    nonce: str
    clock: str = REFERENCE


@dataclass(frozen=True, slots=True)
class Extension:
    """A holder's lease, after it took an answer; `nonce` is the answer's."""

    at: float
    holder: str
    nonce: str
    remaining_s: float
    before: float
    until: float
    clock: str = REFERENCE


@dataclass(frozen=True, slots=True)
class Relayed:
    """A lease that a holder granted to another; `own_until` ends its own."""

    at: float
    relay: str
    holder: str
    remaining_s: float
    own_until: float
    clock: str = REFERENCE


@dataclass(frozen=True, slots=True)
class Seen:
    """The epoch that a process obeys from then on."""

    at: float
    replica: str
    epoch: int
    clock: str = REFERENCE


@dataclass(frozen=True, slots=True)
class View:
    """The kills in force that a process told an operator; it began at `began_at`."""

    at: float
    replica: str
    active: frozenset[int]
    began_at: float


@dataclass(frozen=True, slots=True)
class Stream:
    """A client's stream; `closed_at` is None when it was open at the end."""

    opened_at: float
    closed_at: float | None
    replica: str
    subject: Subject


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the ledger says became of a call that a kill met."""

    epoch: int
    step_id: str
    verdict: KillVerdict


@dataclass(frozen=True, slots=True)
class Flag:
    """A late start that a gateway told of."""

    at: float
    step_id: str


@dataclass(frozen=True, slots=True)
class Outage:
    """A process that did not run: `paused` (stopped and continued) or `down` (gone)."""

    begin: float
    end: float
    replica: str
    kind: str


@dataclass(frozen=True, slots=True)
class Residual:
    """How long a target may accept a credential after a kill, as published (INVARIANTS, I6)."""

    tool: str
    after_s: float
