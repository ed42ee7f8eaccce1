"""What servers say outside of calls, and to whom."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from proxy.model.mcp import Era, Notification
from tests.harness.client import Client
from tests.harness.talker import Talker, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST_CHANGED = "notifications/tools/list_changed"
UPDATED = "notifications/resources/updated"


async def heard(
    notifications: AsyncIterator[Notification], method: str, within_s: float = 5
) -> Notification:
    """Return the next notification of that kind."""
    async with asyncio.timeout(within_s):
        async for one in notifications:
            if one.method == method:
                return one
    raise AssertionError("it ended")


async def quiet(notifications: AsyncIterator[Notification], method: str) -> bool:
    """Whether nothing of that kind comes for a moment."""
    try:
        await heard(notifications, method, 0.3)
    except TimeoutError:
        return True
    return False


async def test_an_update_reaches_who_subscribed(talker: Talker) -> None:
    """And no other session; not after it has unsubscribed."""
    one, two = Client(Era.HANDSHAKE, "one"), Client(Era.HANDSHAKE, "two")
    async with talker.upstream.watch("one") as ones, talker.upstream.watch("two") as twos:
        await talker.call("resources/subscribe", one, uri="note://a")
        await talker.call("resources/subscribe", two, uri="note://b")
        await talker.text("touch", one, uri="note://a")
        update = await heard(ones, UPDATED)
        assert json.loads(update.params)["uri"] == "note://a"
        assert await quiet(twos, UPDATED)
        await talker.call("resources/unsubscribe", one, uri="note://a")
        await talker.text("touch", one, uri="note://a")
        assert await quiet(ones, UPDATED)
    await talker.upstream.forget("one")
    await talker.upstream.forget("two")


async def test_two_sessions_may_want_the_same(talker: Talker) -> None:
    """One that leaves does not take the other's subscription along."""
    one, two = Client(Era.STATELESS, "first"), Client(Era.STATELESS, "second")
    async with talker.upstream.watch("second") as twos:
        for client in (one, two):
            await talker.call("resources/subscribe", client, uri="note://c")
        await talker.call("resources/unsubscribe", one, uri="note://c")
        await talker.upstream.forget("first")
        await talker.text("touch", two, uri="note://c")
        assert (await heard(twos, UPDATED)).method == UPDATED
    await talker.upstream.forget("second")


async def test_a_changed_list_reaches_who_watches(talker: Talker) -> None:
    """And makes the gateway ask for it again."""
    before = len(talker.changes)
    client = Client(Era.HANDSHAKE, "changed")
    async with talker.upstream.watch("changed") as notifications:
        await talker.text("ready", client)
        await talker.text("change", client)
        await heard(notifications, LIST_CHANGED)
    await eventually(lambda: len(talker.changes) > before)
    await talker.upstream.forget("changed")


async def test_a_change_right_after_the_watch_began_is_heard(talker: Talker) -> None:
    """Who is told that it watches does so, also where nothing else waits for its stream."""
    one, other = Client(Era.HANDSHAKE, "instant"), Client(Era.HANDSHAKE, "other")
    await talker.call("resources/subscribe", one, uri="note://e")
    await talker.text("ready", other)
    async with talker.upstream.watch("instant") as notifications:
        await talker.text("touch", other, uri="note://e")
        await heard(notifications, UPDATED)
    await talker.upstream.forget("instant")
    await talker.upstream.forget("other")


async def test_who_does_not_watch_costs_nothing(talker: Talker) -> None:
    """What nobody listens to is dropped."""
    client = Client(Era.STATELESS, "nobody")
    await talker.text("change", client)
    assert client.heard(LIST_CHANGED) == []


async def test_a_session_that_is_forgotten_begins_anew(talker: Talker) -> None:
    """What the server kept for it is gone with it."""
    client = Client(Era.HANDSHAKE, "gone")
    await talker.call("resources/subscribe", client, uri="note://d")
    await talker.upstream.forget("gone")
    async with talker.upstream.watch("gone") as notifications:
        await talker.text("ready", client)
        await talker.text("touch", client, uri="note://d")
        assert await quiet(notifications, UPDATED)


async def test_leaving_is_quick(talker: Talker) -> None:
    """A listener that goes is not waited for; a busy machine may need a second try."""
    took: list[float] = []
    for _ in range(4):
        async with talker.upstream.watch("short"):
            await asyncio.sleep(0.1)
            began = time.monotonic()
        took.append(time.monotonic() - began)
    assert min(took) < 0.1, took
