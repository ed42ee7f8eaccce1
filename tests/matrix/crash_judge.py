"""What a crash may leave behind, judged from the tool's own record against the ledger.

Each call is looked at by itself: what its client was told, what the tool got and did, what the
ledger has. The books of the budgets are looked at as a whole. Nothing here asks the gateway.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.harness.exact_tool import Arrival, Effect

FINAL = frozenset({"done", "failed", "aborted"})
NOTHING_HAPPENED = frozenset({"failed", "aborted"})
STUCK = "stuck"
BLAMED = ("lost", "duplicated", "mismatched", "open")
STATES = ("done", "failed", "aborted", STUCK)
COUNTED = ("calls", "sent", "effects", *BLAMED, *STATES)


class Kind(StrEnum):
    """How a tool's open intents are settled. A probe without a recipe is left to a person."""

    KEYED = "idempotency_key"
    PROBED = "probe"
    UNREAD = "probe, no recipe"
    OPAQUE = "opaque"
    READ = "read"

    @property
    def may_stick(self) -> bool:
        """Whether only a person may be able to say what happened."""
        return self in {Kind.OPAQUE, Kind.UNREAD}


@dataclass(frozen=True, slots=True)
class Row:
    """An intent in the ledger. Times are seconds of the day.

    `credential`: pending and ended as the ledger has it, expired when its time is over, else empty.
    """

    text: str
    state: str
    at: float
    settled_at: float | None = None
    credential: str = ""
    decisions: int = 1


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer said."""

    status: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Call:
    """One call and everything that is known of it once the ledger has come to rest.

    `told` is what was answered before the end of the process, `again` what was answered to the
    same key after it.
    """

    text: str
    kind: Kind
    told: Sequence[Told] = ()
    again: Sequence[Told] = ()
    arrivals: Sequence[Arrival] = ()
    effects: Sequence[Effect] = ()
    rows: Sequence[Row] = ()

    @property
    def states(self) -> set[str]:
        """The states the ledger has of it."""
        return {row.state for row in self.rows}

    @property
    def happened(self) -> bool:
        """Whether the tool did it; a read has happened once it has come."""
        return bool(self.arrivals if self.kind is Kind.READ else self.effects)

    @property
    def told_done(self) -> bool:
        """Whether its client was told that it was done."""
        return any(one.outcome == "done" for one in (*self.told, *self.again))

    @property
    def told_not_done(self) -> bool:
        """Whether it was told that nothing happened.

        A refused repeat says nothing of the call; nor does a refusal that was followed by a repeat,
        which is another attempt.
        """
        if any(one.outcome == "failed" for one in (*self.told, *self.again)):
            return True
        return not self.again and any(one.outcome == "denied" for one in self.told)


@dataclass(frozen=True, slots=True)
class Books:
    """Points of risk: what the accounts say, and the sums over the steps they stand for."""

    used: int
    held: int
    agent_held: int
    done: int
    unsettled: int


@dataclass(slots=True)
class Judged:
    """Problems in words, and counts for the table."""

    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def blame(self, count: str, call: Call, what: str) -> None:
        """Note a call that is not as it has to be."""
        self.counts[count] += 1
        self.problems.append(f"{call.kind} {call.text}: {what}")


def judge(calls: Iterable[Call], books: Books, timeout_s: float) -> Judged:
    """Judge everything. `timeout_s` is that of the tools."""
    judged = Judged()
    for call in calls:
        _intended(call, judged)
        _once(call, judged)
        _agreed(call, judged)
        _settled(call, judged)
        _patient(call, judged, timeout_s)
        judged.counts.update(calls=1, sent=bool(call.arrivals), effects=len(call.effects))
        judged.counts.update(row.state for row in call.rows)
    _balanced(books, judged)
    return judged


def _intended(call: Call, judged: Judged) -> None:
    """I7: an effect has an earlier durable intent, and an intent the record of its decision."""
    if call.arrivals and not call.rows:
        judged.blame("mismatched", call, "the tool was called, the ledger has no intent")
    if not all(effect.intended for effect in call.effects):
        judged.blame("mismatched", call, "it took effect before its intent was durable")
    if any(row.decisions != 1 for row in call.rows):
        judged.blame("mismatched", call, "an intent without exactly one record of its decision")


def _once(call: Call, judged: Judged) -> None:
    """I8: one effect; and only what can be sent again is sent again."""
    if len(call.effects) > 1:
        judged.blame("duplicated", call, f"{len(call.effects)} effects")
    if len(call.rows) > 1:
        judged.blame("duplicated", call, f"{len(call.rows)} intents")
    repeats = len(call.arrivals) > 1 and call.kind is not Kind.READ
    if repeats and call.kind is not Kind.KEYED:
        judged.blame("duplicated", call, f"sent {len(call.arrivals)} times")
    if repeats and len({arrival.key for arrival in call.arrivals}) > 1:
        judged.blame("duplicated", call, "sent again under another key")


def _agreed(call: Call, judged: Judged) -> None:
    """What the ledger and the answers say is what the tool did."""
    if ("done" in call.states or call.told_done) and not call.happened:
        judged.blame("lost", call, "said to be done, and the tool never did it")
    if call.told_done and call.states != {"done"}:
        judged.blame("mismatched", call, f"answered as done, in the ledger {sorted(call.states)}")
    if call.kind is Kind.READ:
        return
    if call.effects and call.states & NOTHING_HAPPENED:
        judged.blame("mismatched", call, f"the tool did it, the ledger says {sorted(call.states)}")
    if call.effects and call.told_not_done:
        judged.blame("mismatched", call, "answered as not done, and the tool did it")
    if call.kind is Kind.OPAQUE and call.arrivals and "aborted" in call.states:
        judged.blame("mismatched", call, "it was sent, the ledger says that it never was")


def _settled(call: Call, judged: Judged) -> None:
    """I12: a final state, or stuck where only a person can know."""
    for row in call.rows:
        if row.state == STUCK and not call.kind.may_stick:
            judged.blame("open", call, "stuck, although its outcome can be found out")
        elif row.state not in FINAL | {STUCK}:
            judged.blame("open", call, f"still {row.state}")
        if row.state in FINAL and row.credential == "pending":
            judged.blame("open", call, f"{row.state}, its credential still pending")


def _patient(call: Call, judged: Judged, timeout_s: float) -> None:
    """I12: nothing that may still happen is aborted.

    Of an opaque tool the ledger knows whether it was sent; a read is never too late.
    """
    if call.kind in {Kind.READ, Kind.OPAQUE}:
        return
    for row in call.rows:
        if row.state == "aborted" and (row.settled_at or row.at) < row.at + timeout_s:
            judged.blame("mismatched", call, "aborted while the tool might still have done it")


def _balanced(books: Books, judged: Judged) -> None:
    """I10: held stands for what is open or stuck, used for what is done."""
    for name, account, steps in (
        ("used", books.used, books.done),
        ("held", books.held, books.unsettled),
        ("held of the agent", books.agent_held, books.unsettled),
    ):
        if account != steps:
            judged.counts["mismatched"] += 1
            judged.problems.append(f"{name} {account} points, the steps add up to {steps}")
