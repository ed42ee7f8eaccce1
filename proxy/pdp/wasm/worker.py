"""A thread with one machine: asked by an event loop, never blocking it."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any

from proxy.pdp.wasm.machine import Machine, Program, Stopped

Rested = Callable[[], None]


def _nobody() -> None:
    """Nobody is told."""


class Worker:
    """Evaluates one question at a time, in a thread of its own, where its machine is made too.

    Whoever asks must have waited for `start`, and not ask again before the worker has rested.
    """

    def __init__(self, program: Program) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "detent-wasm")
        self._machine: Machine | None = None
        self._is_ended = False
        self._cut = Event()
        self._making = self._thread.submit(self._make, program)

    async def start(self) -> None:
        """Wait for the machine. Raises Stopped when it cannot be made."""
        await asyncio.shield(asyncio.wrap_future(self._making))

    def ask(
        self, entry_point: int, document: bytes, rested: Rested = _nobody
    ) -> asyncio.Future[bytes]:
        """Return the future answer: results as JSON, or Stopped. It ends, come what may.

        `rested` is called once, on the event loop, when the worker can be asked again. What an
        evaluation used up is made anew before that, so that it costs no other question its time.
        """
        answered: asyncio.Future[bytes] = self._loop.create_future()
        self._cut = cut = Event()
        evaluating = self._thread.submit(self._evaluate, entry_point, document, cut.is_set)
        evaluating.add_done_callback(partial(self._tell, partial(self._settle, answered, rested)))
        return answered

    def interrupt(self) -> None:
        """Cut what was asked last, begun or not; its future ends with Stopped at once."""
        self._cut.set()
        if self._machine is not None:
            self._machine.interrupt()

    def end(self) -> None:
        """Have the thread end after what it does, and give the memory back. Does not wait."""
        self._is_ended = True
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _make(self, program: Program) -> None:
        self._machine = Machine(program)

    def _evaluate(self, entry_point: int, document: bytes, is_cut: Callable[[], bool]) -> bytes:
        if self._machine is None:
            raise Stopped("there is no machine")
        return self._machine.evaluate(entry_point, document, is_cut)

    def _close(self) -> None:
        if self._machine is not None:
            self._machine.close()

    def _tell(self, heard: Callable[[Future[Any]], None], done: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(heard, done)

    def _settle(
        self, answered: asyncio.Future[bytes], rested: Rested, evaluated: Future[bytes]
    ) -> None:
        self._rest(rested)
        error = evaluated.exception()
        if answered.done():
            return
        if error is None:
            answered.set_result(evaluated.result())
        elif isinstance(error, Stopped):
            answered.set_exception(error)
        else:
            answered.set_exception(Stopped(f"it failed: {type(error).__name__}"))

    def _rest(self, rested: Rested) -> None:
        """Renew the machine if that is needed, then tell. Failing that, the next question tries."""
        machine = self._machine
        if self._is_ended or machine is None or not machine.is_spent:
            rested()
            return
        renewing = self._thread.submit(machine.renew)
        renewing.add_done_callback(partial(self._tell, lambda _: rested()))
