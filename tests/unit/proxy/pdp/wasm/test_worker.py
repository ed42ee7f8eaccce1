"""A thread with a machine: it answers, is cut, ends."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from proxy.pdp.wasm.compile import Compiled
from proxy.pdp.wasm.machine import Interrupted, Machine, Stopped
from proxy.pdp.wasm.worker import Worker
from tests.harness.endless import ENDLESS

RULES = (
    """
decision := input.a if input.a

decision := "at last" if {
	input.slow
	endless
}
"""
    + ENDLESS
)


@pytest.fixture
def program(compiled: Callable[..., Compiled]) -> Compiled:
    """The rules, compiled."""
    return compiled(RULES)


def threads() -> int:
    """How many of our threads live."""
    return sum(thread.name.startswith("detent-wasm") for thread in threading.enumerate())


async def ended() -> None:
    """Wait until none lives."""
    async with asyncio.timeout(10):
        while threads():
            await asyncio.sleep(0.01)


async def test_questions_are_answered_while_the_loop_goes_on(program: Compiled) -> None:
    """One after the other; then the thread ends."""
    worker = Worker(program.program)
    assert await worker.ask(0, b'{"a":1}') == b'[{"result":1}]'
    assert await worker.ask(0, b'{"a":2}') == b'[{"result":2}]'
    worker.end()
    await ended()


async def test_a_cut_evaluation_is_stopped_and_the_next_is_answered(program: Compiled) -> None:
    """The loop is free all the while."""
    worker = Worker(program.program)
    slow = worker.ask(0, b'{"slow":true}')
    await asyncio.sleep(0.1)
    assert not slow.done()
    worker.interrupt()
    with pytest.raises(Stopped):
        await slow
    assert await worker.ask(0, b'{"a":1}') == b'[{"result":1}]'
    worker.end()
    await ended()


async def test_a_cut_before_the_thread_begins_counts(program: Compiled) -> None:
    """A thread that is late is not let run on."""
    worker = Worker(program.program)
    begin = threading.Event()
    worker._thread.submit(begin.wait)
    slow = worker.ask(0, b'{"slow":true}')
    worker.interrupt()
    begin.set()
    with pytest.raises(Interrupted):
        await slow
    assert await worker.ask(0, b'{"a":1}') == b'[{"result":1}]'
    worker.end()
    await ended()


async def test_an_answer_that_nobody_waits_for_is_dropped(program: Compiled) -> None:
    """A cancelled future stays cancelled."""
    worker = Worker(program.program)
    answered = worker.ask(0, b'{"a":1}')
    answered.cancel()
    assert await worker.ask(0, b'{"a":2}') == b'[{"result":2}]'
    worker.end()
    await ended()


async def test_whatever_goes_wrong_is_an_answer(
    program: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that died would leave its caller waiting."""
    worker = Worker(program.program)

    def evaluate(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(Machine, "evaluate", evaluate)
    with pytest.raises(Stopped, match="it failed: MemoryError"):
        await worker.ask(0, b"{}")
    worker.end()
    await ended()
