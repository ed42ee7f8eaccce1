"""One connection that listens for kills, and whose lock shows that this replica lives.

`NOTIFY` carries epochs only, and only hastens: a missed one costs nothing, because the newest
epoch is read again after every reconnect and at every turn of a slow clock. A connection that a
replica loses for a moment makes it look dead meanwhile: its open intents may be called unknown,
which is safe, since an unknown step may still become done or failed.
"""

import asyncio
import contextlib
import logging
from typing import Any, Protocol

import asyncpg

from proxy.errors import StoreUnavailable
from proxy.stores.postgres.address import Address
from proxy.stores.postgres.connections import (
    BROKEN,
    DEADLINE_S,
    FIRST_BACK_OFF_S,
    LAST_BACK_OFF_S,
    Connection,
    connect,
    goodbye,
)

log = logging.getLogger(__name__)

CHANNEL = "detent_kills"
INSTANCE_LOCK = 8741
LOOK_S = 5.0  # a connection that hangs is found out by then

_NEW_INSTANCE = "INSERT INTO instances DEFAULT VALUES RETURNING id"
# Shared, with itself: the server may not have noticed yet that the connection before is gone.
_LOCK = "SELECT pg_advisory_lock_shared($1, $2)"
_UNLOCK = "SELECT pg_advisory_unlock_shared($1, $2)"
_NEWEST = "SELECT coalesce(max(epoch), 0) FROM kills"


class Listening(Connection, Protocol):
    """What is used of a connection that listens."""

    async def add_listener(self, channel: str, callback: Any) -> None:
        """LISTEN, and call back with (connection, pid, channel, payload)."""
        ...

    def add_termination_listener(self, callback: Any) -> None:
        """Call back with the connection when it is gone."""
        ...


class KillWatch:
    """The newest epoch this replica has heard of; `instance` is the replica's number.

    One that only listens has no number, and shows nobody that anyone lives.
    """

    def __init__(self, address: Address, *, only_listens: bool = False) -> None:
        self._address = address
        self._only_listens = only_listens
        self._newest = 0
        self._heard = asyncio.Condition()
        self._connection: Listening | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._bell = asyncio.Event()
        self.instance = 0

    async def start(self) -> None:
        """Register, listen, and go on doing so. Raises StoreUnavailable."""
        await self._connect()
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Be heard of no more; a second time changes nothing."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if not self._only_listens:
            await self._unlock(connection)
        await goodbye(connection)

    async def _unlock(self, connection: Listening) -> None:
        """At once, and not when the server notices: whoever starts next looks for the dead."""
        with contextlib.suppress(*BROKEN, asyncpg.PostgresError):
            async with asyncio.timeout(DEADLINE_S):
                await connection.fetch(_UNLOCK, INSTANCE_LOCK, self.instance)

    async def beyond(self, epoch: int) -> int:
        """Return the newest epoch as soon as it is higher than that one."""
        async with self._heard:
            await self._heard.wait_for(lambda: self._newest > epoch)
            return self._newest

    async def _keep(self) -> None:
        """Look after the connection, and make a new one when it is gone."""
        pause_s = FIRST_BACK_OFF_S
        while True:
            try:
                if self._connection is None:
                    await self._connect()
                    pause_s = FIRST_BACK_OFF_S
                    log.warning("kills are listened for again")
                await self._until_next_look()
                await self._look()
            except StoreUnavailable:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LAST_BACK_OFF_S)
            except (*BROKEN, asyncpg.PostgresError):
                self._drop()

    async def _connect(self) -> None:
        connection: Any = await connect(self._address)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await self._register(connection)
        except (*BROKEN, asyncpg.PostgresError):
            connection.terminate()
            raise StoreUnavailable("The ledger does not let kills be listened for.") from None
        self._connection = connection
        await self._look()

    async def _register(self, connection: Listening) -> None:
        connection.add_termination_listener(self._on_lost)
        await connection.add_listener(CHANNEL, self._on_notified)
        if self._only_listens:
            return
        if not self.instance:
            ((self.instance,),) = await connection.fetch(_NEW_INSTANCE)
        await connection.fetch(_LOCK, INSTANCE_LOCK, self.instance)

    async def _until_next_look(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._bell.wait()
        self._bell.clear()

    async def _look(self) -> None:
        connection = self._connection
        if connection is None or connection.is_closed():
            raise ConnectionResetError
        async with asyncio.timeout(DEADLINE_S):
            ((newest,),) = await connection.fetch(_NEWEST)
        await self._tell(newest)

    async def _tell(self, newest: int) -> None:
        async with self._heard:
            if newest > self._newest:
                self._newest = newest
                self._heard.notify_all()

    def _on_notified(self, *_: object) -> None:
        """Look now; what the notification says is not relied on."""
        self._bell.set()

    def _on_lost(self, *_: object) -> None:
        self._bell.set()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
            log.warning("kills are not listened for; the connection to the ledger is lost")
