"""Statements and transactions, each with a deadline, each failure a StoreUnavailable.

Kills have connections of their own: a ledger that is busy, or whose pool is used up, does not
delay them, and they may wait longer for the reservations under way.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import asyncpg

from proxy.errors import StoreUnavailable
from proxy.stores.postgres.address import Address
from proxy.stores.postgres.connections import (
    BROKEN,
    DEADLINE_S,
    MIN_SERVER,
    SETTINGS,
    Connection,
    Connections,
)
from proxy.stores.postgres.schema import Migration, shipped, verify
from proxy.stores.postgres.watch import KillWatch

T = TypeVar("T")
Rows = Sequence[Sequence[Any]]
Operation = Callable[[Connection], Awaitable[T]]

KILL_CONNECTIONS = 4  # a kill that waits for reservations leaves room for renewals
KILL_SETTINGS = SETTINGS | {"statement_timeout": "1900", "lock_timeout": "1800"}
KILL_DEADLINE_S = 2.5

# Rolled back for certain, and perhaps fine when it is tried alone.
RETRIED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.SerializationError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
)
_GONE = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
)


class RolledBack(StoreUnavailable):
    """The server undid the whole statement because of something in it, or of others' locks."""


class Database:
    """A database that is open from `open` to `close`; an object is opened once.

    `only_listens`: no replica of its own, see KillWatch.
    """

    def __init__(
        self,
        address: Address,
        migrations: Sequence[Migration] | None = None,
        *,
        only_listens: bool = False,
    ) -> None:
        self._migrations = shipped() if migrations is None else migrations
        self._pool = Connections(address, address.connections)
        self._kills = Connections(address, KILL_CONNECTIONS, KILL_SETTINGS)
        self.watch = KillWatch(address, only_listens=only_listens)
        self._under_way: set[asyncio.Task[Any]] = set()

    @property
    def instance(self) -> int:
        """The number of this replica."""
        return self.watch.instance

    async def open(self) -> None:
        """Check server and schema, and be heard of. Raises SchemaNewer, StoreUnavailable."""
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            await self.run(self._check)
            await self.watch.start()
            undo.pop_all()

    async def close(self) -> None:
        """Finish the writes under way and let go of everything."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self.watch.stop()
        await self._pool.close()
        await self._kills.close()

    async def fetch(self, sql: str, *values: Any) -> Rows:
        """Run one statement that reads, and return its rows."""
        async with _deadline(self._pool, DEADLINE_S) as connection:
            return await connection.fetch(sql, *values)

    async def write(self, sql: str, *values: Any) -> Rows:
        """Run one statement, its own transaction, to its end even if the caller is cancelled."""
        return await self._to_its_end(self.fetch(sql, *values))

    async def transaction(self, operation: Operation[T]) -> T:
        """Run several statements as one transaction, to its end; what it raises undoes them."""
        return await self._to_its_end(self._transact(operation))

    async def fetch_kill(self, sql: str, *values: Any) -> Rows:
        """Run one statement of a kill."""
        async with _deadline(self._kills, KILL_DEADLINE_S) as connection:
            return await connection.fetch(sql, *values)

    async def write_kill(self, sql: str, *values: Any) -> Rows:
        """Run one statement that writes a kill, to its end."""
        return await self._to_its_end(self.fetch_kill(sql, *values))

    async def run(self, operation: Operation[T]) -> T:
        """Run several statements on one connection, each on its own."""
        async with _deadline(self._pool, DEADLINE_S) as connection:
            return await operation(connection)

    async def _transact(self, operation: Operation[T]) -> T:
        async with _deadline(self._pool, DEADLINE_S) as connection, _Transaction(connection):
            return await operation(connection)

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Forget a write, and look at what it raised: its caller may be gone."""
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()

    async def _check(self, connection: Connection) -> None:
        ((number,),) = await connection.fetch("SELECT current_setting('server_version_num')::int")
        if number < MIN_SERVER * 10_000:
            raise StoreUnavailable(f"The ledger needs PostgreSQL {MIN_SERVER} or newer.")
        await verify(connection, self._migrations)


class _Transaction:
    """BEGIN, then COMMIT or ROLLBACK. A connection that was cut is dropped, and says neither."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def __aenter__(self) -> None:
        await self._connection.execute("BEGIN")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if error is None:
            await self._connection.execute("COMMIT")
        elif isinstance(error, Exception) and not isinstance(error, BROKEN):
            await self._connection.execute("ROLLBACK")


@contextlib.asynccontextmanager
async def _deadline(pool: Connections, seconds: float) -> AsyncIterator[Connection]:
    """Lend a connection for so long, and turn what fails into StoreUnavailable."""
    try:
        async with pool.use() as connection, asyncio.timeout(seconds):
            yield connection
    except RETRIED as error:
        raise RolledBack(f"The ledger did not take the write: {_said(error)}.") from None
    except asyncpg.PostgresError as error:
        if isinstance(error, _GONE):
            pool.drop_idle()
        raise StoreUnavailable(f"The ledger did not answer as it should: {_said(error)}.") from None
    except BROKEN as error:
        what = "in time" if isinstance(error, TimeoutError) else "any more"
        raise StoreUnavailable(f"The ledger does not answer {what}.") from None


def _said(error: asyncpg.PostgresError) -> str:
    """Return the class of an error; its text may hold a value of a row."""
    return f"{type(error).__name__.removesuffix('Error')} ({error.sqlstate})"


class Tables:
    """A part of the port: methods over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
