"""Histories in which nothing is wrong, from any order of calls, kills and lifts.

A small gateway that always does the right thing: what it writes down is what a real one would. Two
replicas, two agents with two sessions each, four tools, one of them with a credential.
"""

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from proxy.model.kill import GLOBAL, KillAction, KillVerdict, Scope, ScopeKind
from proxy.model.lease import LeaseTerms
from proxy.model.tool import Recovery
from tests.history.records import (
    Account,
    Arrival,
    Call,
    Change,
    Credential,
    Entry,
    Extension,
    Flag,
    Kill,
    Outage,
    Relayed,
    Renewal,
    Seen,
    Start,
    Step,
    Stream,
    Subject,
    Verdict,
    View,
)
from tests.history.told import History

ENDED_S, RECOVERED_S, TIMEOUT_S, FROZEN_S = 90.0, 8.0, 5.0, 3.0
LIMIT = 40
TOOLS = (
    ("rec/item", Recovery.PROBE),
    ("rec/write", Recovery.IDEMPOTENCY_KEY),
    ("rec/opaque", Recovery.OPAQUE),
    ("rec/lent", Recovery.PROBE),
)
AGENTS = ("loop", "ops")
SCOPES = (
    GLOBAL,
    Scope(ScopeKind.TENANT, "acme"),
    Scope(ScopeKind.AGENT, "acme/loop"),
    Scope(ScopeKind.SESSION, "ses-ops-1"),
    Scope(ScopeKind.TOOL, "rec/write"),
    Scope(ScopeKind.AGENT, "acme/never-seen"),
)


@dataclass(frozen=True)
class Planned:
    """A call to be made. `fate`: fine, gone (the client went away), lost (nothing was sent),
    frozen (the process stood still right before the write).
    """

    at: float
    agent: int = 0
    session: int = 0
    tool: int = 0
    key: str = ""
    took_s: float = 0.2
    replica: int = 0
    fate: str = "fine"


@dataclass(frozen=True)
class Halt:
    """A kill to be made, and for how long it holds; None: to the end."""

    at: float
    scope: int
    for_s: float | None = None


@dataclass
class Small:
    """The gateway; `told` grows with what happens."""

    halts: list[Halt]
    told: dict[str, list[object]] = field(default_factory=dict)
    kills: list[Kill] = field(default_factory=list)
    keys: dict[tuple[str, str], tuple[Call, float]] = field(default_factory=dict)
    points: dict[str, list[int]] = field(default_factory=dict)

    def tell(self, kind: str, *records: object) -> None:
        """Write down."""
        self.told.setdefault(kind, []).extend(records)

    def pull(self) -> None:
        """Make all kills and lifts, in the order of their times."""
        turns = [(halt.at, halt, True) for halt in self.halts]
        turns += [(halt.at + halt.for_s, halt, False) for halt in self.halts if halt.for_s]
        epochs: dict[int, int] = {}
        for epoch, (at, halt, is_kill) in enumerate(sorted(turns, key=lambda turn: turn[0]), 1):
            scopes = (SCOPES[halt.scope],)
            action = KillAction.KILL if is_kill else KillAction.LIFT
            lifts = None if is_kill else epochs[id(halt)]
            epochs[id(halt)] = epoch
            effective_at = at + 0.05 if is_kill else None
            self.kills.append(Kill(at, action, scopes, epoch, at + 0.01, True, effective_at, lifts))
            self.tell("log", Entry(epoch, action, scopes, lifts))
            self.tell("seen", *(Seen(at + 0.012, f"r{n}", epoch) for n in (0, 1)))

    def killed(self, subject: Subject, begin: float, end: float) -> Kill | None:
        """Return a kill that was in force for a call at any time of that span."""
        lifts = {one.lifts: one.committed_by or 0.0 for one in self.kills}
        for one in self.kills:
            covers = not set(subject.scopes).isdisjoint(one.scopes)
            in_force = one.asked_at <= end and lifts.get(one.epoch, ENDED_S) >= begin
            if one.action is KillAction.KILL and covers and in_force:
                return one
        return None

    def call(self, number: int, plan: Planned) -> None:
        """Make one call."""
        agent, (tool, recovery) = AGENTS[plan.agent], TOOLS[plan.tool]
        subject = Subject("acme", agent, f"ses-{agent}-{plan.session}", tool)
        asked = Call(plan.at, plan.at + 0.01, subject, tool, plan.key)
        if self.killed(subject, plan.at - 0.02, plan.at + 0.04):
            self.tell("calls", replace(asked, status=503, outcome="denied", reason="killed"))
        elif plan.key and (subject.session, plan.key) in self.keys:
            self.tell("calls", self.again(asked))
        elif not self.reserve(subject.session):
            self.tell("calls", replace(asked, status=429, outcome="denied", reason="budget"))
        else:
            self.carry(number, plan, asked, recovery)

    def again(self, asked: Call) -> Call:
        """Answer a key that was used."""
        first, until = self.keys[asked.subject.session, asked.key]
        if first.request != asked.request:
            return replace(asked, status=422, outcome="denied", reason="idempotency-key-reused")
        if first.outcome != "done" or until > asked.start:
            return replace(asked, status=409, outcome="denied", reason="idempotency-key-in-use")
        return replace(
            asked, status=200, outcome="done", step_id=first.step_id, result=first.result
        )

    def reserve(self, session: str) -> bool:
        """Take points of a session's budget, if there are any left."""
        used, held = self.points.setdefault(session, [0, 0])
        if used + held + 2 > LIMIT:
            return False
        self.points[session][1] += 2
        return True

    def carry(self, number: int, plan: Planned, asked: Call, recovery: Recovery) -> None:
        """Write the intent, send, settle."""
        subject, step_id = asked.subject, f"stp-{number}"
        epoch = sum(one.asked_at + 0.02 < plan.at for one in self.kills)
        arrived_at = self.send(number, plan, subject, epoch)
        answered_at = arrived_at + plan.took_s
        kill = self.killed(subject, plan.at, answered_at)
        state, outcome, settled_at = "done", "done", answered_at
        if plan.fate == "lost":
            state, outcome, settled_at = "aborted", "unknown", plan.at + TIMEOUT_S + 1.1
        elif kill is not None:
            outcome, settled_at = "unknown", plan.at + RECOVERED_S
            state = "stuck" if recovery is Recovery.OPAQUE else "done"
            self.tell("verdicts", Verdict(kill.epoch or 0, step_id, KillVerdict.UNKNOWN))
            self.tell("changes", Change(settled_at, step_id, "unknown", state))
        self.settle(subject.session, state)
        accounts = (f"session:{subject.session}",)
        self.tell(
            "steps",
            Step(
                step_id, subject, step_id, state, plan.at + 0.02, epoch, 2, recovery, "",
                settled_at, plan.key, subject.tool, TIMEOUT_S, accounts,
            ),
        )  # fmt: skip
        answer = replace(asked, end=answered_at, step_id=step_id, outcome=outcome)
        answer = replace(answer, result=f"n-{number}", status=200 if outcome == "done" else 504)
        self.keys[subject.session, plan.key] = (answer, answered_at)
        gone = replace(answer, end=None, status=0, outcome="")
        self.tell("calls", gone if plan.fate == "gone" else answer)

    def send(self, number: int, plan: Planned, subject: Subject, epoch: int) -> float:
        """Look a last time, write; return when the tool has it, or would have had it."""
        frozen_s = FROZEN_S if plan.fate == "frozen" else 0.0
        at, step_id, replica = plan.at + 0.03, f"stp-{number}", f"r{plan.replica}"
        write_at, arrived_at = at + 0.001 + frozen_s, at + 0.005 + frozen_s
        holder, until = f"hld-{plan.replica}", _lease_until(at)
        start = Start(at, write_at, replica, holder, step_id, subject, epoch, until)
        self.tell("starts", start)
        if frozen_s:
            self.tell("outages", Outage(at, at + frozen_s, replica, "paused"))
            self.tell("flags", Flag(write_at + 0.1, step_id))
        if plan.fate != "lost":
            lent = Credential(f"lea-{number}", epoch, plan.at + 50) if plan.tool == 3 else None
            self.tell("minted", *(one.id for one in (lent,) if one))
            self.tell("arrivals", Arrival(arrived_at, step_id, subject.tool, credential=lent))
        return arrived_at

    def settle(self, session: str, state: str) -> None:
        """Move the points: used, given back, or kept for what is stuck."""
        if state == "stuck":
            return
        self.points[session][1] -= 2
        self.points[session][0] += 2 * (state == "done")

    def history(self) -> History:
        """Return everything that was told, the leases and the rest."""
        for session, (used, held) in self.points.items():
            account = Account(ENDED_S, f"session:{session}", LIMIT, used, held, is_last=True)
            self.tell("accounts", account)
        for n in (0, 1):
            self.tell("streams", self.stream(n))
            for turn in range(int(ENDED_S / 0.4)):
                self.renew(n, turn)
        lifted = {one.lifts for one in self.kills}
        active = {one.epoch for one in self.kills if one.action is KillAction.KILL} - lifted
        self.tell("views", View(80.1, "r0", frozenset(one for one in active if one), 80.0))
        told: dict[str, tuple[object, ...]] = {
            kind: tuple(all_) for kind, all_ in self.told.items()
        }
        return History(ENDED_S, kills=tuple(self.kills), **told)  # type: ignore[arg-type]  # by kind

    def stream(self, replica: int) -> Stream:
        """Return a stream that is closed by the first kill that covers it."""
        subject = Subject("acme", AGENTS[replica], f"ses-{AGENTS[replica]}-1", "")
        kill = self.killed(subject, 0.0, ENDED_S)
        return Stream(0.0, kill.asked_at + 0.1 if kill else None, f"r{replica}", subject)

    def renew(self, replica: int, turn: int) -> None:
        """Ask for a lease, get it, and grant what is left of it."""
        at, holder, nonce = turn * 0.4, f"hld-{replica}", f"non-{replica}-{turn}"
        until, before = at + LASTS_S, at - 0.4 + LASTS_S if turn else float("-inf")
        self.tell("renewals", Renewal(at, holder, nonce))
        self.tell("extensions", Extension(at + 0.005, holder, nonce, 1e9, before, until))
        self.tell("relayed", Relayed(at + 0.1, holder, f"{holder}/below", until - at - 0.1, until))


LASTS_S = LeaseTerms().duration_s * (1 - LeaseTerms().clock_drift)


def _lease_until(at: float) -> float:
    """Return the end of the lease that a replica has at that time."""
    turn = int((at - 0.005) / 0.4)
    return turn * 0.4 + LASTS_S


def history_of(plans: list[Planned], halts: list[Halt]) -> History:
    """Return what a right gateway would have told of these calls and kills."""
    small = Small(halts)
    small.pull()
    for number, plan in enumerate(sorted(plans, key=lambda one: one.at)):
        small.call(number, plan)
    return small.history()


# One of everything, before chance comes in: so every fault can be planted in every history.
ALWAYS = (
    *(Planned(1.0 + n, tool=n, session=1, agent=n % 2) for n in range(4)),
    Planned(5.0, key="k", session=1, tool=1),
    Planned(6.0, key="k", session=1, tool=1),
    Planned(6.5, key="k", session=1, tool=0),
    Planned(8.0, session=1, fate="lost"),
    Planned(9.0, session=1, tool=2, took_s=2.0),
    Planned(9.1, session=1, tool=3, took_s=2.0),
    Planned(12.5, session=1, tool=1),
    Planned(13.0, session=1, agent=1, fate="frozen", replica=1),
)
HALTS = (Halt(10.0, 2, for_s=2.0), Halt(20.0, 3), Halt(21.0, 5))

_PLANS = st.builds(
    Planned,
    at=st.integers(220, 600).map(lambda n: n / 10),
    agent=st.integers(0, 1),
    session=st.integers(0, 1),
    tool=st.integers(0, 3),
    key=st.sampled_from(("", "", "a", "b")),
    took_s=st.sampled_from((0.05, 0.5, 3.0)),
    replica=st.integers(0, 1),
    fate=st.sampled_from(("fine", "fine", "fine", "gone", "lost", "frozen")),
)
_HALTS = st.builds(
    Halt,
    at=st.integers(220, 600).map(lambda n: n / 10 + 0.005),
    scope=st.integers(0, 5),
    for_s=st.sampled_from((None, 0.5, 5.0)),
)
PLANS = st.lists(_PLANS, max_size=25)
MORE_HALTS = st.lists(_HALTS, max_size=6)


def with_always(plans: list[Planned], halts: list[Halt]) -> History:
    """Return a history of these, and of one of everything."""
    return history_of([*ALWAYS, *plans], [*HALTS, *halts])
