"""The pool. Every statement has a deadline, here and in the server; only a primary is written to.

asyncpg's own pool resets a connection after each use, which is one more round trip; nothing here
changes a connection, so these need none. What timed out or looks odd is dropped, never reused.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

import asyncpg

from proxy.errors import StoreUnavailable
from proxy.stores.postgres.address import Address

CONNECT_S = 2.0
WAIT_S = 1.0  # for a free connection
LOCK_MS = 500
STATEMENT_MS = 1_000  # less than a kill waits for its commit
IDLE_IN_TRANSACTION_MS = 2_000
DEADLINE_S = 1.5  # the server has given up by then
FIRST_BACK_OFF_S = 0.05
LAST_BACK_OFF_S = 2.0
MIN_SERVER = 15

BROKEN = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Connection(Protocol):
    """What is used of an asyncpg connection."""

    async def fetch(self, query: str, *args: Any) -> list[Sequence[Any]]:
        """Return the rows of a statement."""
        ...

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement, or without arguments several."""
        ...

    def is_closed(self) -> bool:
        """Whether it can no longer be used."""
        ...

    def terminate(self) -> None:
        """Drop it at once."""
        ...

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's
        """Say goodbye."""
        ...


SETTINGS = {
    "search_path": "detent",
    "default_transaction_isolation": "read committed",  # a lock first, a new snapshot after it
    "default_transaction_read_only": "off",
    "statement_timeout": str(STATEMENT_MS),
    "lock_timeout": str(LOCK_MS),
    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_MS),
    # A gateway that vanished is gone for the server after half a minute.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
    # Every statement goes by an index and is planned once, whatever the statistics say meanwhile.
    "enable_seqscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}
# What was confirmed is on the disk, and on the standbys the administrator names.
_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') IN ('off', 'local')
"""


async def connect(address: Address, settings: Mapping[str, str] = SETTINGS) -> Connection:
    """Return a new connection to the primary. Raises StoreUnavailable, with no secret in it."""
    named = {**settings, "application_name": address.application_name}
    try:
        async with asyncio.timeout(CONNECT_S):
            connection: Connection = await asyncpg.connect(
                **address.arguments(), timeout=CONNECT_S, server_settings=named
            )
    except (*BROKEN, asyncpg.PostgresError, ValueError) as error:
        raise StoreUnavailable(f"{address} cannot be reached: {_why(error)}.") from None
    try:
        async with asyncio.timeout(DEADLINE_S):
            await connection.fetch(_DURABLE)
    except (*BROKEN, asyncpg.PostgresError) as error:
        connection.terminate()
        raise StoreUnavailable(f"{address} cannot be used: {_why(error)}.") from None
    return connection


def _why(error: Exception) -> str:
    """Return a cause by its kind; what servers and libraries say may name users and values."""
    if isinstance(error, asyncpg.exceptions.TargetServerAttributeNotMatched):
        return "no host is a primary; a standby takes no writes"
    if isinstance(error, asyncpg.PostgresError):
        return f"the server refused ({error.sqlstate})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return "nobody listens there"
    return type(error).__name__


class Connections:
    """At most so many connections, the last one used first.

    While the server cannot be reached, one attempt is made at a time, at growing intervals, and
    everybody else is told so at once.
    """

    def __init__(self, address: Address, size: int, settings: Mapping[str, str] = SETTINGS) -> None:
        self._address = address
        self._settings = settings
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._retry_at = 0.0
        self._back_off_s = 0.0
        self._closed = False

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[Connection]:
        """Lend a connection. Raises StoreUnavailable.

        One that was left in the middle of a statement is dropped.
        """
        await self._wait_for_one()
        try:
            connection = await self._take()
            try:
                yield connection
            except (asyncio.CancelledError, *BROKEN):
                connection.terminate()
                raise
            finally:
                self._put_back(connection)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Close what is idle, and what is lent when it comes back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await goodbye(connection)

    async def _wait_for_one(self) -> None:
        if self._closed:
            raise StoreUnavailable("The ledger is closed.")
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            raise StoreUnavailable("All connections to the ledger are busy; try again.") from None

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        if time.monotonic() < self._retry_at:
            raise StoreUnavailable(f"{self._address} cannot be reached; it is tried again soon.")
        return await self._connect()

    async def _connect(self) -> Connection:
        self._retry_at = max(self._retry_at, time.monotonic() + self._back_off_s)
        try:
            connection = await connect(self._address, self._settings)
        except StoreUnavailable:
            grown = max(FIRST_BACK_OFF_S, self._back_off_s * 2)
            self._back_off_s = min(grown, LAST_BACK_OFF_S)
            self._retry_at = time.monotonic() + self._back_off_s
            raise
        self._back_off_s = self._retry_at = 0.0
        return connection

    def _put_back(self, connection: Connection) -> None:
        if self._closed or connection.is_closed():
            connection.terminate()
        else:
            self._idle.append(connection)

    def drop_idle(self) -> None:
        """Drop what is idle: the server it leads to is no longer the primary."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.terminate()


async def goodbye(connection: Connection) -> None:
    """Close a connection, or drop it when that fails."""
    try:
        await connection.close(timeout=CONNECT_S)
    except (*BROKEN, asyncpg.PostgresError):
        connection.terminate()
