"""The file: private, exclusive, durable, and clear about what is wrong."""

import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.errors import SchemaNewer, StoreInUse, StoreUnavailable
from proxy.stores.sqlite import database as database_module
from proxy.stores.sqlite.database import Database
from proxy.stores.sqlite.schema import APPLICATION_ID, Migration
from proxy.stores.sqlite.writer import Operation

NOTES = f"PRAGMA application_id = {APPLICATION_ID}; CREATE TABLE notes (text TEXT) STRICT;"
FULL_DISK = """
import asyncio, pathlib, resource, sys, time
from proxy.errors import StoreUnavailable
from proxy.stores.sqlite import SqliteStore

async def main():
    store = SqliteStore(pathlib.Path(sys.argv[1]))
    await store.open()
    await store.ping()
    size = pathlib.Path(sys.argv[1] + "-wal").stat().st_size
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    began = time.monotonic()
    outcomes = await asyncio.gather(*(store.ping() for _ in range(9)), return_exceptions=True)
    assert {type(one) for one in outcomes} == {StoreUnavailable}, outcomes
    assert time.monotonic() - began < 1
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    await store.ping()
    count = "SELECT beats FROM pulse"
    assert store._database.read(lambda reader: reader.execute(count).fetchall()) == [(2,)]
    await store.close()
    print("passed")

asyncio.run(main())
"""


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    opened = Database(path, (Migration(1, NOTES),))
    await opened.open()
    yield opened
    await opened.close()


def note(text: str) -> Operation[int]:
    """Write a note."""
    return lambda connection: connection.execute("INSERT INTO notes VALUES (?)", (text,)).rowcount


def notes(connection: sqlite3.Connection) -> list[str]:
    """Return all notes."""
    return [text for (text,) in connection.execute("SELECT text FROM notes").fetchall()]


def pragma(name: str) -> Operation[object]:
    """Return the setting of a connection."""
    return lambda connection: connection.execute(f"PRAGMA {name}").fetchall()[0][0]


async def test_what_was_written_is_read(database: Database) -> None:
    """At once, by point reads and lists."""
    assert await database.write(note("a")) == 1
    assert database.read(notes) == await database.read_list(notes) == ["a"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 400)],
)
async def test_writes_are_durable_and_checked(database: Database, name: str, value: object) -> None:
    """WAL with FULL: a commit is on the disk before it is acknowledged."""

    async def ask() -> object:
        return await database.write(pragma(name))

    assert await ask() == value


async def test_readers_write_nothing_and_wait_for_nobody(database: Database) -> None:
    """A write through a reader is an error; its busy timeout is zero."""
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        database.read(note("a"))
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await database.read_list(note("a"))
    assert database.read(pragma("busy_timeout")) == 0


async def test_all_files_are_private(database: Database, path: Path) -> None:
    """Database, log, index and lock: mode 0600."""
    await database.write(note("a"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(
        ("detent.db", "detent.db-wal", "detent.db-shm", "detent.db.lock"), 0o600
    )


async def test_a_new_directory_is_private(tmp_path: Path) -> None:
    """Mode 0700 for the one that holds the ledger."""
    database = Database(tmp_path / "var" / "ledger" / "detent.db", (Migration(1, NOTES),))
    await database.open()
    await database.close()
    assert stat.S_IMODE((tmp_path / "var" / "ledger").stat().st_mode) == 0o700


async def test_a_file_others_could_read_is_narrowed(path: Path) -> None:
    """Whoever made it."""
    path.touch(0o644)
    path.chmod(0o644)
    database = Database(path, (Migration(1, NOTES),))
    await database.open()
    await database.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_second_store_on_the_file_is_refused(database: Database, path: Path) -> None:
    """The first goes on; after it closes, the next may open."""
    second = Database(path, (Migration(1, NOTES),))
    with pytest.raises(StoreInUse):
        await second.open()
    await database.write(note("a"))
    await database.close()
    await second.open()
    assert second.read(notes) == ["a"]
    await second.close()


@pytest.mark.parametrize(
    "problem", ["directory", "file above", "no database", "foreign", "read-only"]
)
async def test_an_unusable_path_is_told_with_its_cure(tmp_path: Path, problem: str) -> None:
    """And is left as it was, the lock free again."""
    path = tmp_path / "detent.db"
    if problem == "directory":
        path.mkdir()
    elif problem == "file above":
        path.write_text("a file")
        path /= "detent.db"
    elif problem == "no database":
        path.write_text("some notes, longer than the header of a database would be " * 9)
    elif problem == "foreign":
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE theirs (x)")
    else:
        path = Path("/proc/ledger/detent.db")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="name a"):
            await Database(path).open()


async def test_a_foreign_database_keeps_its_bytes(path: Path) -> None:
    """Not even its journal mode changes."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="another program"):
        await Database(path).open()
    assert path.read_bytes() == before


async def test_a_ledger_that_is_newer_is_refused_and_released(path: Path) -> None:
    """The newer Detent can open it right after."""
    newer = (Migration(1, NOTES), Migration(2, "CREATE TABLE more (x INTEGER) STRICT;"))
    for migrations in (newer, newer):
        database = Database(path, migrations)
        await database.open()
        await database.close()
        with pytest.raises(SchemaNewer):
            await Database(path, newer[:1]).open()


async def test_a_file_system_without_wal_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An in-memory database stands for one: it never enters WAL."""

    def connect(_path: Path, _busy_timeout_ms: int) -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    monkeypatch.setattr(database_module, "_connect", connect)
    with pytest.raises(StoreUnavailable, match="does not support WAL"):
        await Database(path).open()


def test_a_full_disk_fails_fast_and_recovers(path: Path) -> None:
    """A process that may not write beyond a size: unavailable within a second, then fine."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("passed\n", "")
