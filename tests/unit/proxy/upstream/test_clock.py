"""A call's time."""

import asyncio

import pytest

from proxy.upstream.clock import Clock


async def wait(seconds: float, answer: str = "") -> str:
    await asyncio.sleep(seconds)
    return answer


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_time_is_up() -> None:
    """After as long as the call may take."""
    began = now()
    with pytest.raises(TimeoutError):
        async with Clock(0.05):
            await asyncio.sleep(5)
    assert 0.05 <= now() - began < 1


async def test_a_call_in_time() -> None:
    """Nothing happens to it."""
    async with Clock(5):
        await asyncio.sleep(0)


async def test_asking_does_not_count() -> None:
    """The client may take longer than the server; what was left before is left afterwards."""

    async def call() -> None:
        async with Clock(0.2) as clock:
            await asyncio.sleep(0.1)
            assert await clock.asking(lambda: wait(0.5, "said")) == "said"
            await asyncio.sleep(5)

    began = now()
    with pytest.raises(TimeoutError):
        await call()
    assert 0.68 <= now() - began < 1.5


async def test_asking_several_at_once_is_asking_once() -> None:
    """The time stands still until the last has answered."""
    async with Clock(0.2) as clock:
        one, two = await asyncio.gather(
            clock.asking(lambda: wait(0.3, "a")), clock.asking(lambda: wait(0.6, "b"))
        )
        assert one + two == "ab"
        await asyncio.sleep(0.05)


async def test_all_asking_together_is_bounded() -> None:
    """A client that never answers is given up, and asked nothing more; the call goes on."""
    async with Clock(5, asking_s=0.1) as clock:
        with pytest.raises(TimeoutError):
            await clock.asking(lambda: wait(5))
        with pytest.raises(TimeoutError):
            await clock.asking(lambda: wait(0))
        await asyncio.sleep(0.05)


async def test_what_asking_raises_passes() -> None:
    """And the time goes on."""

    async def refuse() -> None:
        raise ValueError("no")

    async def call() -> None:
        async with Clock(0.05) as clock:
            with pytest.raises(ValueError, match="no"):
                await clock.asking(refuse)
            await asyncio.sleep(5)

    with pytest.raises(TimeoutError):
        await call()


async def test_a_call_that_is_cancelled_is_not_late() -> None:
    """Also while its client is being asked."""
    asked = asyncio.Event()

    async def ask() -> None:
        asked.set()
        await asyncio.sleep(5)

    async def call() -> None:
        async with Clock(5) as clock:
            await clock.asking(ask)

    task = asyncio.create_task(call())
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_time_that_is_up_stays_up() -> None:
    """What asks after that is answered, and does not set the clock again."""
    clock = Clock(0.01)
    with pytest.raises(TimeoutError):
        async with clock:
            await asyncio.sleep(5)
    assert await clock.asking(lambda: wait(0, "said")) == "said"
