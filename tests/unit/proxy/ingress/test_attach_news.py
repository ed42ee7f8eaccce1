import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from proxy.ingress.attach_news import News
from proxy.killswitch.switch import KillSwitch


class Switch:
    """Knows an epoch, and tells when there is a newer one."""

    def __init__(self) -> None:
        self.synced = 3
        self.poll_s = 5.0
        self._told: Callable[[], None] = lambda: None
        self.news = News(cast("KillSwitch", self), lambda: self.poll_s)

    def on_news(self, told: Callable[[], None]) -> None:
        self._told = told

    def learn(self, epoch: int) -> None:
        self.synced = epoch
        self._told()


@pytest.fixture
def switch() -> Switch:
    return Switch()


async def test_who_knows_less_is_answered_at_once(switch: Switch) -> None:
    """With the newest epoch."""
    assert switch.news.ask(2, lambda _: None) == b"3"
    assert await switch.news.after(2) == b"3"


async def test_all_who_wait_are_told_together(switch: Switch) -> None:
    """But who has heard of it elsewhere."""
    told: list[bytes] = []
    for known in (3, 3, 4):
        assert callable(switch.news.ask(known, told.append))
    waiting = asyncio.create_task(switch.news.after(3))
    await asyncio.sleep(0)
    switch.learn(4)
    assert told == [b"4", b"4"]
    assert await waiting == b"4"
    switch.learn(5)
    assert told == [b"4", b"4", b"5"]


async def test_without_news_the_answer_comes_in_the_end(switch: Switch) -> None:
    """With the epoch that was known."""
    switch.poll_s = 0.01
    assert await switch.news.after(3) == b"3"


async def test_who_has_gone_is_not_told(switch: Switch) -> None:
    """However it went."""
    told: list[bytes] = []
    forget = switch.news.ask(3, told.append)
    assert not isinstance(forget, bytes)
    forget()
    forget()
    waiting = asyncio.create_task(switch.news.after(3))
    await asyncio.sleep(0)
    waiting.cancel()
    switch.learn(4)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert told == []
