"""The file: who reads it and who writes it.

Three connections, one WAL file. The writer's belongs to its thread. Point reads (an index and a
handful of rows, tens of microseconds) run on the event loop's own thread, because handing them to
another costs more than the read; a WAL reader never waits for the writer, and its busy timeout is
0, so the loop cannot block on a lock. Lists, which may be long, run on a thread of their own.
A read that follows a write in the same task sees it: the write was committed before it returned.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

from proxy.errors import StoreUnavailable
from proxy.stores.sqlite.files import create_private
from proxy.stores.sqlite.lock import ExclusiveLock
from proxy.stores.sqlite.schema import Migration, migrate, shipped, version_of
from proxy.stores.sqlite.writer import Operation, T, Writer

BUSY_TIMEOUT_MS = 400  # a write behind a failing one still answers within a second

PAGE_CACHE_KIB = 16 * 1024  # each connection's; the pages of the indexes stay in memory


class Database:
    """A SQLite file that belongs to this process from `open` to `close`."""

    def __init__(self, path: Path, migrations: Sequence[Migration] | None = None) -> None:
        self._path = path
        self._migrations = shipped() if migrations is None else migrations
        self._held = ExitStack()
        self._writer: Writer | None = None
        self._points: sqlite3.Connection | None = None
        self._lists: sqlite3.Connection | None = None
        self._lister = ThreadPoolExecutor(1, thread_name_prefix="ledger-lists")

    async def open(self) -> None:
        """Lock, migrate and connect. Raises StoreInUse, SchemaNewer, StoreUnavailable."""
        connection = await asyncio.to_thread(self._take)
        self._writer = Writer(connection)
        self._writer.start()

    async def close(self) -> None:
        """Finish queued writes, close the file and let go of the lock."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.stop()
        self._points = self._lists = None
        await asyncio.to_thread(self._lister.shutdown)
        await asyncio.to_thread(self._held.close)

    async def write(self, operation: Operation[T], *, urgent: bool = False) -> T:
        """Run an operation in a transaction and return when it is durable."""
        if self._writer is None:
            raise StoreUnavailable("The ledger is closed.")
        return await self._writer.run(operation, urgent=urgent)

    def read(self, operation: Operation[T]) -> T:
        """Run a point read on the calling thread, which is the event loop's."""
        return _read(self._points, operation)

    async def read_list(self, operation: Operation[T]) -> T:
        """Run a long read on the thread for lists."""
        if self._lists is None:
            raise StoreUnavailable("The ledger is closed.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._lister, _read, self._lists, operation)

    def _take(self) -> sqlite3.Connection:
        with ExitStack() as held:
            try:
                writer = self._connect_all(held)
            except (OSError, sqlite3.Error) as error:
                raise StoreUnavailable(
                    f"The ledger {self._path} cannot be opened: {error}; "
                    "name a writable file on a local disk in `store`."
                ) from error
            self._held = held.pop_all()
        return writer

    def _connect_all(self, held: ExitStack) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        held.enter_context(ExclusiveLock(self._path.with_name(f"{self._path.name}.lock")))
        create_private(self._path)
        writer = held.enter_context(closing(_connect(self._path, BUSY_TIMEOUT_MS)))
        version_of(writer)  # before the first write: a file of another program stays as it is
        if writer.execute("PRAGMA journal_mode = WAL").fetchall() != [("wal",)]:
            raise StoreUnavailable(f"{self._path.parent} does not support WAL; use a local disk.")
        writer.execute("PRAGMA synchronous = FULL")
        writer.execute("PRAGMA foreign_keys = ON")
        migrate(writer, self._path, self._migrations)
        self._points = held.enter_context(closing(_connect_reader(self._path)))
        self._lists = held.enter_context(closing(_connect_reader(self._path)))
        return writer


def _connect(path: Path, busy_timeout_ms: int) -> sqlite3.Connection:
    # Each connection is used by one thread at a time, but opened and closed by others.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
    connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _connect_reader(path: Path) -> sqlite3.Connection:
    connection = _connect(path, 0)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _read(connection: sqlite3.Connection | None, operation: Operation[T]) -> T:
    if connection is None:
        raise StoreUnavailable("The ledger is closed.")
    try:
        return operation(connection)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The ledger cannot be read: {error}.") from error


class Tables:
    """A part of the port: methods over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
