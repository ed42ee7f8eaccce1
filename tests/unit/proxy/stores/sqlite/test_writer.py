"""Group commit: shared by all who wait, owned by each, kills first."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.sqlite.writer import Operation, Writer
from tests.harness.writing import held, note, notes, started, statement

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE parents (id INTEGER PRIMARY KEY);
CREATE TABLE notes (
    id INTEGER PRIMARY KEY, text TEXT UNIQUE, parent INTEGER REFERENCES parents (id)
);
"""
DEFERRED = "PRAGMA defer_foreign_keys = ON"
ORPHAN = "INSERT INTO notes (text, parent) VALUES ('orphan', 7)"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(
        tmp_path / "notes.db", isolation_level=None, check_same_thread=False, timeout=0.2
    )
    with closing(opened):
        opened.executescript(SCHEMA)
        opened.execute("PRAGMA foreign_keys = ON")
        yield opened


@pytest.fixture
async def writer(connection: sqlite3.Connection) -> AsyncIterator[Writer]:
    started = Writer(connection, max_batch=4, max_queued=8)
    started.start()
    yield started
    await started.stop()


async def test_each_caller_gets_its_own_result(writer: Writer, tmp_path: Path) -> None:
    """And finds it on the disk when it does."""
    texts = [f"n{n}" for n in range(20)]
    for chunk in (texts[:8], texts[8:16], texts[16:]):
        assert await asyncio.gather(*(writer.run(note(text)) for text in chunk)) == chunk
        assert set(chunk) <= set(notes(tmp_path))


async def test_those_who_wait_share_a_commit(
    writer: Writer, connection: sqlite3.Connection
) -> None:
    """Nine operations in batches of at most four: three commits."""
    said: list[str] = []
    async with held(writer) as tasks:
        connection.set_trace_callback(said.append)
        await started(tasks, *(writer.run(note(f"n{n}")) for n in range(8)))
    await asyncio.gather(*tasks)
    assert said.count("COMMIT") == 3


async def test_a_failing_operation_fails_alone(writer: Writer, tmp_path: Path) -> None:
    """Its writes are undone, its neighbours' in the same batch are not."""

    def half(connection: sqlite3.Connection) -> None:
        note("half")(connection)
        raise LookupError("changed its mind")

    async with held(writer) as tasks:
        await started(tasks, writer.run(note("a")), writer.run(half), writer.run(note("b")))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in outcomes] == [type(None), str, LookupError, str]
    assert notes(tmp_path) == ["a", "b"]


async def test_the_first_of_a_batch_fails_alone(writer: Writer, tmp_path: Path) -> None:
    """It has no savepoint: those after it begin the transaction again."""

    def half(connection: sqlite3.Connection) -> None:
        note("half")(connection)
        raise LookupError("changed its mind")

    async with held(writer) as tasks:
        await started(tasks, writer.run(half), writer.run(half), writer.run(note("a")))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in outcomes] == [type(None), LookupError, LookupError, str]
    assert notes(tmp_path) == ["a"]


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
async def test_the_first_may_not_end_the_transaction_either(
    writer: Writer, tmp_path: Path, end: str
) -> None:
    """It fails, and those after it have a transaction of their own."""
    async with held(writer) as tasks:
        await started(tasks, writer.run(statement(end)), writer.run(note("a")))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in outcomes[1:]] == [StoreUnavailable, str]
    assert notes(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "refused",
    [
        statement(*["INSERT INTO notes (text) VALUES ('x')"] * 2),
        statement("INSERT INTO nowhere VALUES (1)"),
        lambda connection: connection.execute("SELECT ?", (2**70,)),
        lambda connection: connection.execute("SELECT ?", ("\ud800",)),
        lambda connection: connection.execute("SELECT ?", (object(),)),
    ],
    ids=["constraint", "no table", "too large", "no text", "no type"],
)
async def test_what_sqlite_refuses_is_unavailable(
    writer: Writer, tmp_path: Path, refused: Operation[object]
) -> None:
    """One kind of error for callers; nothing of the operation stays."""
    with pytest.raises(StoreUnavailable):
        await writer.run(refused)
    assert await writer.run(note("after")) == "after"
    assert notes(tmp_path) == ["after"]


async def test_an_error_never_repeats_a_value(writer: Writer) -> None:
    """Texts and numbers of callers stay out of messages."""
    await writer.run(note("secret"))
    for refused in (note("secret"), note("secret\ud800")):
        with pytest.raises(StoreUnavailable) as caught:
            await writer.run(refused)
        assert "secret" not in str(caught.value)


async def test_a_failing_commit_fails_all_and_writes_nothing(
    writer: Writer, tmp_path: Path
) -> None:
    """A constraint checked at commit takes the whole batch with it; the next one works."""
    async with held(writer) as tasks:
        await started(tasks, writer.run(note("a")), writer.run(statement(DEFERRED, ORPHAN)))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(one) for one in outcomes} == {StoreUnavailable}
    assert await writer.run(note("after")) == "after"
    assert notes(tmp_path) == ["after"]


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT", "RELEASE operation"])
async def test_an_operation_that_ends_the_transaction_fails_its_batch(
    writer: Writer, end: str
) -> None:
    """Callers beside it are never told of a write that may not be there."""
    async with held(writer) as tasks:
        await started(tasks, writer.run(note("a")), writer.run(statement(end)))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(one) for one in outcomes} == {StoreUnavailable}
    assert await writer.run(note("after")) == "after"


async def test_an_error_that_rolls_everything_back_fails_its_batch(
    writer: Writer, tmp_path: Path
) -> None:
    """As SQLite does by itself on a full disk or an I/O error."""
    await writer.run(note("a"))
    async with held(writer) as tasks:
        again = "INSERT OR ROLLBACK INTO notes (text) VALUES ('a')"
        await started(tasks, writer.run(note("b")), writer.run(statement(again)))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(one) for one in outcomes} == {StoreUnavailable}
    assert notes(tmp_path) == ["a"]


async def test_an_urgent_operation_ends_the_batch_and_commits_alone(
    writer: Writer, connection: sqlite3.Connection
) -> None:
    """It waits for the operation under way and one commit, not for those queued before it."""
    said: list[str] = []
    async with held(writer) as tasks:
        connection.set_trace_callback(said.append)
        await started(tasks, writer.run(note("a")), writer.run(note("b")))
        await started(tasks, writer.run(note("kill"), urgent=True))
    await asyncio.gather(*tasks)
    told = ["COMMIT" if one == "COMMIT" else one.partition("'")[2][:-2] for one in said]
    assert [one for one in told if one] == ["COMMIT", "kill", "COMMIT", "a", "b", "COMMIT"]


async def test_a_full_queue_refuses_at_once_but_never_a_kill(writer: Writer) -> None:
    """Eight may wait; the ninth is told now, an urgent one is taken."""
    async with held(writer) as tasks:
        await started(tasks, *(writer.run(note(f"n{n}")) for n in range(8)))
        with pytest.raises(StoreUnavailable, match="Too many"):
            await writer.run(note("ninth"))
        await started(tasks, writer.run(note("kill"), urgent=True))
    assert "kill" in await asyncio.gather(*tasks)


async def test_a_cancelled_caller_does_not_stop_its_operation(
    writer: Writer, tmp_path: Path
) -> None:
    """It happens, in its turn, and its neighbours get their answers."""
    async with held(writer) as tasks:
        await started(tasks, writer.run(note("a")), writer.run(note("b")))
        tasks[1].cancel()
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert outcomes[2] == "b"
    assert notes(tmp_path) == ["a", "b"]


async def test_a_locked_database_fails_all_who_wait_within_a_second(
    writer: Writer, tmp_path: Path
) -> None:
    """Another process holds the write lock: many batches fail together; then writes work again."""
    with closing(sqlite3.connect(tmp_path / "notes.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        several = [writer.run(note(f"n{n}"), urgent=n == 5) for n in range(8)]
        outcomes = await asyncio.gather(*several, return_exceptions=True)
        assert {type(one) for one in outcomes} == {StoreUnavailable}
        assert time.monotonic() - began < 1
        other.execute("ROLLBACK")
    assert await writer.run(note("after")) == "after"
    assert notes(tmp_path) == ["after"]


async def test_a_full_database_fails_and_recovers(
    writer: Writer, connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """No page left: unavailable, nothing written; with room again, writes work."""
    (pages,) = connection.execute("PRAGMA page_count").fetchall()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="full"):
        await writer.run(note("x" * 100_000))
    connection.execute("PRAGMA max_page_count = 100000")
    assert await writer.run(note("after")) == "after"
    assert notes(tmp_path) == ["after"]


async def test_stopping_finishes_what_is_queued(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    """Then nothing more is taken."""
    writer = Writer(connection)
    writer.start()
    tasks: list[asyncio.Task[Any]] = []
    await started(tasks, *(writer.run(note(f"n{n}")) for n in range(3)))
    await writer.stop()
    assert notes(tmp_path) == ["n0", "n1", "n2"]
    assert await asyncio.gather(*tasks) == ["n0", "n1", "n2"]
    with pytest.raises(StoreUnavailable, match="closed"):
        await writer.run(note("late"))


def test_a_loop_that_went_away_is_not_told(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """The write still happens and the thread ends in order."""
    entered, free = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        entered.set()
        free.wait(10)
        note("late")(connection)

    async def leave() -> Writer:
        writer = Writer(connection)
        writer.start()
        asyncio.ensure_future(writer.run(slow)).add_done_callback(lambda _task: None)
        await asyncio.to_thread(entered.wait, 10)
        return writer

    writer = asyncio.run(leave())
    writer._closing = True
    free.set()
    writer._thread.join(10)
    assert not writer._thread.is_alive()
    assert notes(tmp_path) == ["late"]
