"""The `managed` engine: an OPA of our own, watched, restarted, swapped on reload."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from proxy.errors import PolicyError, PolicyUnavailable
from proxy.pdp.base import QueryAnswer, StagedBundle, nothing
from proxy.pdp.opa_process import OpaProcess, Query

DRAIN_S = 2.0
DOUBT_PAUSE_S = 0.05

Probe = Callable[[StagedBundle, Query], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watch:
    """How OPA is watched, in seconds: asked every `interval_s`, sooner after a failed query.

    `failures` unanswered questions in a row mean that it hangs. The first start after `stable_s` of
    life does not wait; the next ones wait `backoff_s`, doubling up to `max_backoff_s`.
    """

    interval_s: float = 0.5
    deadline_s: float = 1.0
    failures: int = 2
    backoff_s: float = 0.1
    max_backoff_s: float = 5.0
    stable_s: float = 10.0


class ManagedOpa:
    """Runs OPA as a child. `probe` looks at each new bundle before it decides anything.

    A probe gets the bundle and a way to query the OPA that has it, and raises PolicyInvalid.
    """

    def __init__(self, opa: Path, probe: Probe | None = None, watch: Watch | None = None) -> None:
        self._command = opa
        self._probe = probe
        self._watch = watch or Watch()
        self._opa: OpaProcess | None = None
        self._bundle: StagedBundle | None = None
        self._changing = asyncio.Lock()
        self._doubt = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    async def start(self, bundle: StagedBundle) -> None:
        """Serve this bundle. Raises PolicyInvalid, PolicyUnavailable."""
        self._opa = await self._started(bundle)
        self._bundle = bundle
        self._watching = asyncio.create_task(self._keep_running())

    async def replace(self, bundle: StagedBundle, swapped: Callable[[], None] = nothing) -> None:
        """Start a second OPA, look at it, swap, drain the first; on failure the first stays.

        Raises PolicyInvalid, PolicyUnavailable.
        """
        async with self._changing:
            fresh = await self._started(bundle)
            replaced, self._opa, self._bundle = self._opa, fresh, bundle
            swapped()
        if replaced is not None:
            await replaced.stop(DRAIN_S)

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        """Ask once, without a second try. Raises PolicyUnavailable."""
        opa = self._opa
        if opa is None:
            raise PolicyUnavailable("OPA is not running")
        try:
            return await opa.query(path, body, deadline_s)
        except PolicyUnavailable:
            self._doubt.set()
            raise

    async def stop(self) -> None:
        """End OPA; nothing of it is left."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        async with self._changing:
            opa, self._opa = self._opa, None
        if opa is not None:
            await opa.stop()

    async def _started(self, bundle: StagedBundle) -> OpaProcess:
        opa = await OpaProcess.start(self._command, bundle)
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(opa.stop)
            if self._probe is not None:
                await self._probe(bundle, opa.query)
            undo.pop_all()
        return opa

    async def _keep_running(self) -> None:
        """Put another in the place of an OPA that ended or hangs, for ever."""
        pause_s = 0.0
        while True:
            opa, born = self._opa, time.monotonic()
            if opa is not None:
                if not await self._is_lost(opa):
                    continue
                await self._drop(opa)
            if time.monotonic() - born >= self._watch.stable_s:
                pause_s = 0.0
            await asyncio.sleep(pause_s)
            await self._start_again()
            pause_s = min(max(pause_s * 2, self._watch.backoff_s), self._watch.max_backoff_s)

    async def _is_lost(self, opa: OpaProcess) -> bool:
        """Watch one OPA until it has ended or hangs; False once another took its place."""
        opa.child.when_ended(self._doubt.set)
        failures = 0
        while opa is self._opa and failures < self._watch.failures:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._watch.interval_s):
                    await self._doubt.wait()
            self._doubt.clear()
            if not opa.child.running:
                break
            is_well = await opa.is_healthy(self._watch.deadline_s)
            failures = 0 if is_well else failures + 1
            await asyncio.sleep(DOUBT_PAUSE_S)
        return opa is self._opa

    async def _drop(self, opa: OpaProcess) -> None:
        async with self._changing:
            if self._opa is opa:
                state = "does not answer" if opa.child.running else "has ended"
                log.error("OPA %s; another is started", state)
                await opa.stop()
                self._opa = None

    async def _start_again(self) -> None:
        async with self._changing:
            if self._opa is None and self._bundle is not None:
                try:
                    self._opa = await OpaProcess.start(self._command, self._bundle)
                except PolicyError as error:
                    log.error("OPA could not be started again: %s", error)
                else:
                    log.warning("OPA is back")
