"""The judge of the crash matrix finds every planted fault, and blames nothing that is right."""

from dataclasses import replace

import pytest

from tests.harness.exact_tool import Arrival, Effect
from tests.matrix.crash_judge import Books, Call, Judged, Kind, Row, Told, judge

AT = 1_000.0
TIMEOUT_S = 2.0
EVEN = Books(used=0, held=0, agent_held=0, done=0, unsettled=0)

DONE = Told(200, "done")
TAKEN = Told(409, "denied")
FAILED = Told(502, "failed")
SENT = Arrival("x", "/write", "stp1", AT)
AGAIN = replace(SENT, at=AT + 1)
ELSE = replace(AGAIN, key="stp2")
ACTED = Effect("x", intended=True, at=AT)
TOO_EARLY = Effect("x", intended=False, at=AT)


def row(state: str, **changes: object) -> Row:
    """Return an intent that was settled when the tool could no longer act."""
    return replace(Row("x", state, AT, AT + TIMEOUT_S, "ended"), **changes)  # type: ignore[arg-type]  # a test names members


def call(kind: Kind, **more: object) -> Call:
    """Return a call and what is known of it."""
    return Call("x", kind, **more)  # type: ignore[arg-type]  # a test names members


def judged(one: Call, books: Books = EVEN) -> Judged:
    """Judge one call."""
    return judge([one], books, TIMEOUT_S)


WRITE, KEYED, OPAQUE, READ = Kind.PROBED, Kind.KEYED, Kind.OPAQUE, Kind.READ
RIGHT = {
    "nothing began": call(WRITE),
    "done and answered": call(
        WRITE, told=[DONE], arrivals=[SENT], effects=[ACTED], rows=[row("done")]
    ),
    "done, nobody heard": call(WRITE, arrivals=[SENT], effects=[ACTED], rows=[row("done")]),
    "never sent": call(WRITE, rows=[row("aborted")]),
    "sent, lost on its way": call(WRITE, arrivals=[SENT], rows=[row("aborted")]),
    "keyed, sent again": call(KEYED, arrivals=[SENT, AGAIN], effects=[ACTED], rows=[row("done")]),
    "opaque is for a person": call(
        OPAQUE, arrivals=[SENT], effects=[ACTED], rows=[row("stuck", credential="pending")]
    ),
    "the client's second try": call(
        OPAQUE, again=[TAKEN], arrivals=[SENT], effects=[ACTED], rows=[row("stuck")]
    ),
    "opaque, never sent": call(OPAQUE, rows=[row("aborted", settled_at=AT)]),
    "its credential has expired": call(WRITE, rows=[row("aborted", credential="expired")]),
    "a read twice": call(READ, arrivals=[SENT, AGAIN], rows=[row("failed", settled_at=AT)]),
    "not done and said so": call(WRITE, told=[FAILED], arrivals=[SENT], rows=[row("failed")]),
    "refused, and done by a repeat": call(
        OPAQUE,
        told=[Told(503, "denied")],
        again=[DONE],
        arrivals=[SENT],
        effects=[ACTED],
        rows=[row("done")],
    ),
}
WRONG = {
    "called without an intent": ("mismatched", call(WRITE, arrivals=[SENT], effects=[ACTED])),
    "a read without an intent": ("mismatched", call(READ, arrivals=[SENT])),
    "effect before the intent": (
        "mismatched",
        call(WRITE, arrivals=[SENT], effects=[TOO_EARLY], rows=[row("done")]),
    ),
    "no record of the decision": ("mismatched", call(WRITE, rows=[row("aborted", decisions=0)])),
    "two effects": (
        "duplicated",
        call(KEYED, arrivals=[SENT, AGAIN], effects=[ACTED, ACTED], rows=[row("done")]),
    ),
    "two intents": ("duplicated", call(WRITE, rows=[row("aborted"), row("aborted")])),
    "opaque sent again": ("duplicated", call(OPAQUE, arrivals=[SENT, AGAIN], rows=[row("stuck")])),
    "a probe sent again": (
        "duplicated",
        call(WRITE, arrivals=[SENT, AGAIN], effects=[ACTED], rows=[row("done")]),
    ),
    "sent again under another key": (
        "duplicated",
        call(KEYED, arrivals=[SENT, ELSE], effects=[ACTED], rows=[row("done")]),
    ),
    "done without an effect": ("lost", call(WRITE, arrivals=[SENT], rows=[row("done")])),
    "a read that was never asked": ("lost", call(READ, rows=[row("done")])),
    "answered without an effect": ("lost", call(WRITE, told=[DONE], rows=[row("done")])),
    "answered, not written down": (
        "mismatched",
        call(OPAQUE, told=[DONE], arrivals=[SENT], effects=[ACTED], rows=[row("stuck")]),
    ),
    "aborted although it happened": (
        "mismatched",
        call(WRITE, arrivals=[SENT], effects=[ACTED], rows=[row("aborted")]),
    ),
    "opaque and sent, called never sent": (
        "mismatched",
        call(OPAQUE, arrivals=[SENT], rows=[row("aborted")]),
    ),
    "denied although it happened": (
        "mismatched",
        call(WRITE, told=[Told(503, "denied")], arrivals=[SENT], effects=[ACTED]),
    ),
    "a repeat answered as failed": (
        "mismatched",
        call(KEYED, again=[FAILED], arrivals=[SENT], effects=[ACTED], rows=[row("done")]),
    ),
    "a repeat answered without an effect": ("lost", call(KEYED, again=[DONE], rows=[row("done")])),
    "aborted too soon": ("mismatched", call(WRITE, rows=[row("aborted", settled_at=AT + 1)])),
    "still open": ("open", call(WRITE, rows=[row("sending")])),
    "still unknown": ("open", call(WRITE, rows=[row("unknown")])),
    "stuck for no reason": ("open", call(KEYED, rows=[row("stuck")])),
    "its credential left": ("open", call(WRITE, rows=[row("aborted", credential="pending")])),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_not_blamed(name: str) -> None:
    """No problem is seen where none is."""
    assert judged(RIGHT[name]).problems == []


@pytest.mark.parametrize("name", WRONG)
def test_every_planted_fault_is_found(name: str) -> None:
    """It is counted in the column it belongs to."""
    count, planted = WRONG[name]
    found = judged(planted)
    assert found.problems
    assert found.counts[count]


@pytest.mark.parametrize("member", ["used", "held", "agent_held", "done", "unsettled"])
def test_books_that_do_not_add_up_are_found(member: str) -> None:
    """A point too many anywhere is a mismatch."""
    found = judged(call(WRITE), replace(EVEN, **{member: 1}))
    assert found.counts["mismatched"]
    assert found.problems


def test_what_is_counted_adds_up() -> None:
    """Calls, those that were sent, effects, and the states of the ledger."""
    counts = judge(RIGHT.values(), EVEN, TIMEOUT_S).counts
    assert (counts["calls"], counts["sent"], counts["effects"]) == (len(RIGHT), 9, 6)
    assert (counts["done"], counts["aborted"], counts["stuck"]) == (4, 4, 2)
