"""What reserve and settle leave in the tables, and by which reads they get there."""

import sqlite3

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.ledger import IntentState, Reserved, ReserveStatus
from proxy.stores.rows import session_values
from proxy.stores.sqlite import budgets, intents
from proxy.stores.sqlite.sessions import _INSERT
from tests.harness.ledger import Call, session, settled

NAMES = ("session", "continues", "tenant", "agent", "at", "epoch", "scopes")
OBSERVED = ("step", "state", "detail", "at", "answer", "spent")
POINT_READS = {
    "gate": (intents._GATE, dict.fromkeys(NAMES, "[]")),
    "claimed": (intents._CLAIMED, ("",) * 4),
    "settle": (intents._SETTLE, dict.fromkeys(OBSERVED, "")),
    "room": (budgets._ROOM, ("[]",)),
}


@pytest.fixture(autouse=True)
def opened(connection: sqlite3.Connection) -> None:
    connection.execute(_INSERT, session_values(session(), None))


def credential_state(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return lease id and state of every credential."""
    return connection.execute("SELECT lease_id, state FROM credentials").fetchall()


@pytest.mark.parametrize(("sql", "values"), POINT_READS.values(), ids=POINT_READS)
def test_every_read_uses_an_index(
    connection: sqlite3.Connection, sql: str, values: dict[str, str] | tuple[str, ...]
) -> None:
    """Reserving costs the same in a large ledger: only the given scopes are gone through."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    scans = {detail.partition(" VIRTUAL")[0] for *_, detail in plan if detail.startswith("SCAN")}
    assert scans <= {"SCAN CONSTANT ROW", "SCAN asked", "SCAN json_each"}


@pytest.mark.parametrize("state", [IntentState.DONE, IntentState.FAILED, IntentState.UNKNOWN])
def test_a_credential_is_pending_until_the_step_is_settled(
    connection: sqlite3.Connection, state: IntentState
) -> None:
    """Written with the intent, so that an orphan is found."""
    intents.reserve(connection, Call(credential=True).reservation())
    assert credential_state(connection) == [("lease-stp1", "pending")]
    intents.settle(connection, settled(state=state))
    assert credential_state(connection) == [("lease-stp1", "ended")]


@pytest.mark.parametrize(("key", "kept"), [(None, None), ("k", b"{}")])
def test_an_answer_is_kept_for_keyed_steps_only(
    connection: sqlite3.Connection, key: str | None, kept: bytes | None
) -> None:
    """Nobody can ask for the others."""
    intents.reserve(connection, Call(key=key).reservation())
    intents.settle(connection, settled(answer=b"{}"))
    assert connection.execute("SELECT answer FROM steps").fetchall() == [(kept,)]


def test_a_call_is_nine_statements_beside_two_commits(connection: sqlite3.Connection) -> None:
    """Gate, room, step, decision and holds; outcome, two accounts and a bucket."""
    intents.reserve(connection, Call(step="before").reservation())
    intents.settle(connection, settled("before"))
    said: list[str] = []
    connection.set_trace_callback(said.append)
    intents.reserve(connection, Call().reservation())
    intents.settle(connection, settled())
    assert len(said) == 9


def test_recording_tells_whether_it_was_new(connection: sqlite3.Connection) -> None:
    """Once."""
    assert intents.record(connection, Call().decision)
    assert not intents.record(connection, Call().decision)


def test_a_recorded_decision_reserves_nothing(connection: sqlite3.Connection) -> None:
    """A refusal that stands in the audit cannot become a reservation."""
    intents.record(connection, Call().decision)
    with pytest.raises(StoreUnavailable, match="recorded before"):
        intents.reserve(connection, Call().reservation())


def test_only_an_open_intent_is_marked(connection: sqlite3.Connection) -> None:
    """Once."""
    intents.reserve(connection, Call().reservation())
    intents.mark_sending(connection, "stp1")
    with pytest.raises(StoreUnavailable):
        intents.mark_sending(connection, "stp1")


def test_a_refusal_writes_nothing(connection: sqlite3.Connection) -> None:
    """Not a row changes."""
    before = connection.total_changes
    reserved = intents.reserve(connection, Call(risk=101).reservation())
    assert reserved == Reserved(ReserveStatus.BUDGET_EXHAUSTED)
    assert connection.total_changes == before
