"""The kill lease, kept on a thread of its own: event loop, connections and all.

Ten thousand calls at once keep the main event loop busy for longer than a lease lasts. Renewed
there, it would run out, and a busy process would refuse everything; a kill would be heard last
where most is going on. Here it is heard at once, and is in force for the main loop's next check.

A thread that dies renews nothing: the lease runs out and every call is refused.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime

from proxy.killswitch.keeper import Authority, LeaseKeeper
from proxy.model.finding import Alert, Severity
from proxy.model.token import new_id

log = logging.getLogger(__name__)

LOST = "kill leases are renewed no more; start this process again"

Connect = Callable[[], AbstractAsyncContextManager[Authority]]


class LeaseThread:
    """Runs a keeper elsewhere; made in the main event loop, and started once.

    `connect` makes, in the other loop, what the keeper asks.
    """

    def __init__(
        self,
        connect: Connect,
        keeper: Callable[[Authority], LeaseKeeper],
        raise_alert: Callable[[Alert], Awaitable[None]],
    ) -> None:
        self._connect = connect
        self._keeper = keeper
        self._raise_alert = raise_alert
        self._main = asyncio.get_running_loop()
        self._own: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._up = self._main.create_future()
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._telling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Get the first lease and keep it. Raises StoreUnavailable."""
        self._own = own = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(own,), name="kill-lease")
        self._thread.daemon = True
        self._thread.start()
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            await self._up
            undo.pop_all()

    async def stop(self) -> None:
        """Give the lease up and end the thread; a second time changes nothing."""
        if self._own is None or self._thread is None:
            return
        with contextlib.suppress(RuntimeError):  # its loop is closed: it has ended already
            self._own.call_soon_threadsafe(self._stopping.set)
        await self._ended.wait()
        await asyncio.to_thread(self._thread.join)
        if self._telling is not None:
            await asyncio.gather(self._telling, return_exceptions=True)

    def _run(self, own: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: own) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        """Keep the lease until told to stop; whatever ends that sooner is told."""
        life = asyncio.create_task(self._life())
        await asyncio.wait((life,))
        self._main.call_soon_threadsafe(self._over, life.exception())

    async def _life(self) -> None:
        async with self._connect() as authority:
            keeper = self._keeper(authority)
            await keeper.start()
            self._main.call_soon_threadsafe(self._started)
            stopping = asyncio.create_task(self._stopping.wait())
            kept = asyncio.create_task(keeper.kept())
            await asyncio.wait((kept, stopping), return_when=asyncio.FIRST_COMPLETED)
            if error := kept.done() and kept.exception():
                log.critical(LOST, exc_info=error)  # now: the main loop may be busy for long
                raise error
            await keeper.stop()

    def _started(self) -> None:
        if not self._up.done():
            self._up.set_result(None)

    def _over(self, error: BaseException | None) -> None:
        """Hand what ended it to whoever waits for the start, or to people."""
        self._ended.set()
        if error is None:
            return
        if not self._up.done():
            self._up.set_exception(error)
            return
        alert = Alert(new_id("alr"), datetime.now(UTC), "kill-lease-lost", Severity.CRITICAL, LOST)
        self._telling = asyncio.ensure_future(self._raise_alert(alert))
