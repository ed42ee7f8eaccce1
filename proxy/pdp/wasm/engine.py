"""The `wasm` engine: the bundle, compiled by OPA, evaluated in our own process."""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import jiter

from proxy.errors import PolicyUnavailable
from proxy.pdp.answer import MAX_ANSWER_BYTES
from proxy.pdp.base import PATHS, QueryAnswer, StagedBundle, nothing
from proxy.pdp.wasm.compile import Compiled, compile_bundle
from proxy.pdp.wasm.documents import NotADocument, input_of
from proxy.pdp.wasm.machine import Stopped
from proxy.pdp.wasm.worker import Worker

MOST_WORKERS = 4
DRAIN_S = 2.0

Query = Callable[[str, bytes, float], Awaitable[QueryAnswer]]
Probe = Callable[[StagedBundle, Query], Awaitable[None]]


class Served:
    """One bundle with its workers. Made, started and ended on the event loop it serves."""

    def __init__(self, compiled: Compiled, workers: int) -> None:
        self._compiled = compiled
        self._every = [Worker(compiled.program) for _ in range(workers)]
        self._idle = deque(self._every)
        self._free = asyncio.Semaphore(workers)
        self._is_ended = False
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def start(self) -> None:
        """Wait for all machines; they are made in their threads. Raises PolicyUnavailable."""
        try:
            for worker in self._every:
                await worker.start()
        except Stopped as error:
            raise PolicyUnavailable(f"the policy does not start: {error}") from error

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        """Evaluate one entry point. Raises PolicyUnavailable."""
        if path not in PATHS:
            raise PolicyUnavailable(f"{path!r} is not a path of the decision point")
        entry_point = self._compiled.entry_points.get(path)
        if entry_point is None:
            return QueryAnswer(None, self._compiled.revision)
        with self._counted():
            try:
                document = input_of(body)
                async with asyncio.timeout(deadline_s):
                    results = await self._evaluated(entry_point, document, deadline_s)
            except TimeoutError as error:
                raise PolicyUnavailable(
                    f"the policy did not answer within {deadline_s} s"
                ) from error
            except (Stopped, NotADocument) as error:
                raise PolicyUnavailable(f"the policy gave no answer: {error}") from error
        return QueryAnswer(_result(results), self._compiled.revision)

    async def end(self, drain_s: float = 0.0) -> None:
        """Let queries under way finish, at most `drain_s`; cut the rest, end the threads."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await self._quiet.wait()
        self._is_ended = True
        for worker in self._every:
            worker.interrupt()
            worker.end()

    async def _evaluated(self, entry_point: int, document: bytes, deadline_s: float) -> bytes:
        """Ask an idle worker; it is cut at the deadline whether or not anybody waits still.

        Raises Stopped.
        """
        await self._free.acquire()
        if self._is_ended:
            self._free.release()  # whoever waits still is told the same
            raise Stopped("it is served no more")
        worker = self._idle.popleft()
        cut = asyncio.get_running_loop().call_later(deadline_s, worker.interrupt)

        def give_back() -> None:
            cut.cancel()
            self._idle.append(worker)
            self._free.release()

        answered = worker.ask(entry_point, document, give_back)
        answered.add_done_callback(asyncio.Future.exception)  # seen, though nobody may wait
        return await asyncio.shield(answered)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._under_way += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()


class WasmOpa:
    """Evaluates in threads of this process. `probe` looks at each new bundle before it decides.

    `opa` is the binary that compiles. A probe gets the bundle and a way to query it, and raises
    PolicyInvalid.
    """

    def __init__(self, opa: Path, probe: Probe | None = None, workers: int | None = None) -> None:
        self._opa = opa
        self._probe = probe
        self._workers = workers or min(MOST_WORKERS, len(os.sched_getaffinity(0)))
        self._changing = asyncio.Lock()
        self._served: Served | None = None

    async def start(self, bundle: StagedBundle) -> None:
        """Serve this bundle. Raises PolicyInvalid, PolicyUnavailable."""
        await self.replace(bundle)

    async def replace(self, bundle: StagedBundle, swapped: Callable[[], None] = nothing) -> None:
        """Compile, look at it, swap, drain what was served; on failure that stays.

        Raises PolicyInvalid, PolicyUnavailable.
        """
        async with self._changing:
            compiled = await asyncio.to_thread(compile_bundle, bundle, self._opa)
            fresh = await self._looked_at(bundle, compiled)
            replaced, self._served = self._served, fresh
            swapped()
        if replaced is not None:
            await replaced.end(DRAIN_S)

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        """Ask once. Raises PolicyUnavailable."""
        served = self._served
        if served is None:
            raise PolicyUnavailable("no policy is served")
        return await served.query(path, body, deadline_s)

    async def stop(self) -> None:
        """End the threads."""
        async with self._changing:
            served, self._served = self._served, None
        if served is not None:
            await served.end()

    async def _looked_at(self, bundle: StagedBundle, compiled: Compiled) -> Served:
        served = Served(compiled, self._workers)
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(served.end)
            await served.start()
            if self._probe is not None:
                await self._probe(bundle, served.query)
            undo.pop_all()
        return served


def _result(results: bytes) -> object:
    """Return the value of an entry point, None when it is undefined. Raises PolicyUnavailable."""
    if len(results) > MAX_ANSWER_BYTES:
        raise PolicyUnavailable(f"the policy answered with more than {MAX_ANSWER_BYTES} bytes")
    try:
        listed = jiter.from_json(results, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise PolicyUnavailable("the policy answered with something that is not JSON") from error
    match listed:
        case []:
            return None
        case [{"result": result, **others}] if not others:
            return result
    raise PolicyUnavailable("the policy answered with something that is no result")
