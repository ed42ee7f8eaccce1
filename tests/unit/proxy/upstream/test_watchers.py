"""Who listens outside of calls."""

import asyncio

import pytest

from proxy.model.mcp import Notification
from proxy.upstream.watchers import MAX_WAITING, PACE_S, Watchers

CHANGED = Notification("notifications/tools/list_changed", b"{}")


def updated(number: int) -> Notification:
    return Notification("notifications/resources/updated", b'{"uri":"a://%d"}' % number)


async def test_a_session_hears_what_is_said_to_it() -> None:
    """And nothing of what is said to another (I20)."""
    watchers = Watchers()
    async with watchers.watch("one") as ones, watchers.watch("two") as twos:
        assert watchers.tell("one", updated(1))
        assert await anext(ones) == updated(1)
        watchers.tell_all(CHANGED)
        assert (await anext(ones), await anext(twos)) == (CHANGED, CHANGED)


async def test_who_does_not_listen_hears_nothing() -> None:
    """Before, after, and when nobody did."""
    watchers = Watchers()
    assert not watchers.tell("one", CHANGED)
    async with watchers.watch("one"), watchers.watch("one"):
        assert "one" in watchers
    assert "one" not in watchers
    watchers.tell_all(CHANGED)


async def test_two_listeners_of_a_session_both_hear() -> None:
    """One that leaves does not take the other along."""
    watchers = Watchers()
    async with watchers.watch("one") as first:
        async with watchers.watch("one") as second:
            watchers.tell("one", CHANGED)
            assert await anext(second) == CHANGED
        assert "one" in watchers
        assert await anext(first) == CHANGED


async def test_the_same_thing_waits_once() -> None:
    """A flood of it is one notification (A36)."""
    watchers = Watchers()
    async with watchers.watch("one") as heard:
        for _ in range(10_000):
            watchers.tell("one", CHANGED)
        watchers.tell("one", updated(1))
        assert [await anext(heard), await anext(heard)] == [CHANGED, updated(1)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * PACE_S):
                await anext(heard)


async def test_few_things_wait() -> None:
    """What comes then is dropped; what waits already is not."""
    watchers = Watchers()
    async with watchers.watch("one") as heard:
        for number in range(MAX_WAITING + 5):
            watchers.tell("one", updated(number))
        watchers.tell("one", updated(0))
        assert await anext(heard) == updated(0)
        assert heard._waiting.keys() == {updated(one) for one in range(1, MAX_WAITING)}  # type: ignore[attr-defined]


async def test_they_come_at_a_steady_pace() -> None:
    """The first at once, each other one a little later."""
    watchers, clock = Watchers(), asyncio.get_running_loop()
    async with watchers.watch("one") as heard:
        for number in range(4):
            watchers.tell("one", updated(number))
        began = clock.time()
        await anext(heard)
        first = clock.time()
        for _ in range(3):
            await anext(heard)
    assert first - began < PACE_S
    assert clock.time() - began >= 3 * PACE_S * 0.98


async def test_a_listener_that_stops_waiting_can_go_on_later() -> None:
    """Nothing is lost by that."""
    watchers = Watchers()
    async with watchers.watch("one") as heard:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(heard)
        watchers.tell("one", CHANGED)
        async for one in heard:
            assert one == CHANGED
            break
