"""A thread with a machine: it answers, is cut, ends."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

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


async def started(program: Compiled) -> Worker:
    """A worker that can be asked."""
    worker = Worker(program.program)
    await worker.start()
    return worker


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
    worker = await started(program)
    assert await worker.ask(0, b'{"a":1}') == b'[{"result":1}]'
    assert await worker.ask(0, b'{"a":2}') == b'[{"result":2}]'
    worker.end()
    await ended()


async def test_a_cut_evaluation_is_stopped_and_the_next_is_answered(program: Compiled) -> None:
    """The loop is free all the while."""
    worker = await started(program)
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
    worker = await started(program)
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
    worker = await started(program)
    answered = worker.ask(0, b'{"a":1}')
    answered.cancel()
    assert await worker.ask(0, b'{"a":2}') == b'[{"result":2}]'
    worker.end()
    await ended()


async def test_whatever_goes_wrong_is_an_answer(
    program: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that died would leave its caller waiting."""
    worker = await started(program)

    def evaluate(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(Machine, "evaluate", evaluate)
    with pytest.raises(Stopped, match="it failed: MemoryError"):
        await worker.ask(0, b"{}")
    worker.end()
    await ended()


async def test_a_machine_is_made_in_its_own_thread(
    program: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the data takes long, and the loop has others to serve."""
    made_by: list[str] = []
    renew = Machine.renew

    def seen(machine: Machine) -> None:
        made_by.append(threading.current_thread().name)
        renew(machine)

    monkeypatch.setattr(Machine, "renew", seen)
    worker = await started(program)
    assert [name.startswith("detent-wasm") for name in made_by] == [True]
    worker.end()
    await ended()


async def test_a_machine_that_cannot_be_made_is_told(program: Compiled) -> None:
    """And whoever asks all the same gets no answer, also after a cut."""
    worker = Worker(replace(program.program, data=b"{"))
    with pytest.raises(Stopped, match="cannot be read"):
        await worker.start()
    asked = worker.ask(0, b"{}")
    worker.interrupt()
    with pytest.raises(Stopped, match="no machine"):
        await asked
    worker.end()
    await ended()


async def test_a_worker_has_rested_when_its_machine_is_whole_again(program: Compiled) -> None:
    """Not the next question makes another instance: its own deadline may be too short for that."""
    worker = await started(program)
    seen: list[bool] = []
    rested = asyncio.Event()

    def tell() -> None:
        seen.append(worker._machine is None or worker._machine.is_spent)
        rested.set()

    slow = worker.ask(0, b'{"slow":true}', tell)
    worker.interrupt()
    with pytest.raises(Stopped):
        await slow
    await rested.wait()
    assert seen == [False]
    worker.end()
    await ended()


async def test_a_worker_that_cannot_be_made_whole_rests_all_the_same(
    program: Compiled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next question tries again."""
    worker = await started(program)
    rested = asyncio.Event()
    with monkeypatch.context() as patch:
        patch.setattr(Machine, "renew", no_memory)
        slow = worker.ask(0, b'{"slow":true}', rested.set)
        worker.interrupt()
        with pytest.raises(Stopped):
            await slow
        await rested.wait()
    assert await worker.ask(0, b'{"a":1}') == b'[{"result":1}]'
    worker.end()
    await ended()


def no_memory(_: Machine) -> None:
    """Fail."""
    raise Stopped("no memory")
