"""A thread with one machine: asked by an event loop, never blocking it."""

import asyncio
import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event

from proxy.pdp.wasm.machine import Machine, Program, Stopped


class Worker:
    """Evaluates one question at a time, in a thread of its own.

    Whoever asks must not ask again before the last future is done. Raises Stopped when the machine
    cannot be made.
    """

    def __init__(self, program: Program) -> None:
        self._machine = Machine(program)
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "detent-wasm")
        self._cut = Event()

    def ask(self, entry_point: int, document: bytes) -> asyncio.Future[bytes]:
        """Return the future answer: results as JSON, or Stopped. It ends, come what may."""
        answered: asyncio.Future[bytes] = self._loop.create_future()
        self._cut = cut = Event()
        evaluating = self._thread.submit(self._machine.evaluate, entry_point, document, cut.is_set)
        evaluating.add_done_callback(partial(self._tell, answered))
        return answered

    def interrupt(self) -> None:
        """Cut what was asked last, begun or not; its future ends with Stopped at once."""
        self._cut.set()
        self._machine.interrupt()

    def end(self) -> None:
        """Have the thread end after what it does, and give the memory back. Does not wait."""
        self._thread.submit(self._machine.close)
        self._thread.shutdown(wait=False)

    def _tell(self, answered: asyncio.Future[bytes], evaluated: Future[bytes]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(_settle, answered, evaluated)


def _settle(answered: asyncio.Future[bytes], evaluated: Future[bytes]) -> None:
    error = evaluated.exception()
    if answered.done():
        return
    if error is None:
        answered.set_result(evaluated.result())
    elif isinstance(error, Stopped):
        answered.set_exception(error)
    else:
        answered.set_exception(Stopped(f"it failed: {type(error).__name__}"))
