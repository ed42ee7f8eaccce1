"""One session with the server for each client's session."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from proxy.errors import UpstreamFailed
from proxy.upstream.channel import Channel
from proxy.upstream.channels import Bounds, Channels
from proxy.upstream.exchange import Session

ABILITIES: tuple[Mapping[str, Any], ...] = ({}, {"roots": {}}, {"sampling": {}})


class Server:
    """Opens channels and keeps what becomes of them; it stands for the endpoint as well."""

    name = "s"

    def __init__(self, **bounds: Any) -> None:
        self.opened: list[str] = []
        self.ended: list[str] = []
        self.fails = False
        self.takes_s = 0.0
        self.channels = Channels(self.open_channel, Bounds(**bounds))

    async def open_channel(self, owner: str, capabilities: Mapping[str, Any]) -> Channel:
        await asyncio.sleep(self.takes_s)
        if self.fails:
            raise UpstreamFailed("it is away")
        number = f"{owner}-{len(self.opened)}"
        self.opened.append(number)
        return Channel(owner, Session(id=number), self, lambda *_: False)  # type: ignore[arg-type]

    def end(self, session: Session) -> None:
        self.ended.append(session.id)

    async def use(self, session: str, capabilities: Mapping[str, Any] | None = None) -> str:
        async with self.channels.use(session, capabilities or {}) as channel:
            return channel.session.id


async def test_a_session_keeps_its_channel() -> None:
    """And no two sessions share one (I20)."""
    server = Server()
    used = [await server.use(session) for session in ("a", "b", "a", "b")]
    assert used == ["a-0", "b-1", "a-0", "b-1"]
    assert server.ended == []


async def test_what_a_client_can_do_is_part_of_its_channel() -> None:
    """In whatever order it is said."""
    server = Server()
    one = await server.use("a", {"roots": {}, "sampling": {}})
    assert await server.use("a", {"sampling": {}, "roots": {}}) == one
    assert await server.use("a", {"roots": {}}) != one
    assert len(server.channels.of("a")) == 2


async def test_a_channel_is_opened_once_for_all_who_wait() -> None:
    """Also when there are many."""
    server = Server()
    server.takes_s = 0.02
    assert set(await asyncio.gather(*(server.use("a") for _ in range(10)))) == {"a-0"}


async def test_a_channel_that_cannot_be_opened_failed() -> None:
    """The next call tries again."""
    server = Server()
    server.fails = True
    with pytest.raises(UpstreamFailed):
        await server.use("a")
    server.fails = False
    assert await server.use("a") == "a-0"


async def test_the_one_used_the_longest_time_ago_makes_room() -> None:
    """It is ended at the server."""
    server = Server(channels=2)
    for session in ("a", "b", "a", "c"):
        await server.use(session)
    assert server.ended == ["b-1"]
    assert await server.use("a") == "a-0"


async def test_a_session_has_only_so_many() -> None:
    """It makes room itself, not another one's channel."""
    server = Server(per_session=2)
    await server.use("b")
    for one in ABILITIES:
        await server.use("a", one)
    assert server.ended == ["a-1"]


@pytest.mark.parametrize("bounds", [{"channels": 2}, {"per_session": 2}])
async def test_channels_in_use_do_not_make_room(bounds: dict[str, int]) -> None:
    """A call more than there can be failed, and nothing is taken from the others."""
    server = Server(**bounds)
    async with AsyncExitStack() as stack:
        for one in ABILITIES[:2]:
            await stack.enter_async_context(server.channels.use("a", one))
        with pytest.raises(UpstreamFailed, match="in use"):
            await server.use("a", {"sampling": {}})
    assert server.ended == []
    assert await server.use("a", {"sampling": {}})


async def test_a_channel_that_nobody_uses_is_closed() -> None:
    """After a while; one in use is not."""
    server = Server(idle_s=0.05)
    async with server.channels.use("a", {}):
        await server.use("b")
        await asyncio.sleep(0.15)
        assert server.ended == ["b-1"]
    await asyncio.sleep(0.02)
    await server.use("a")
    await asyncio.sleep(0.1)
    assert server.ended == ["b-1", "a-0"]


async def test_a_session_that_is_forgotten_is_ended() -> None:
    """All its channels, and nobody else's; a later call begins anew."""
    server = Server()
    for number, session in enumerate("aab"):
        await server.use(session, ABILITIES[number % 2])
    server.channels.forget("a")
    assert server.ended == ["a-0", "a-1"]
    assert await server.use("a") == "a-3"


async def test_a_forgotten_channel_in_use_is_ended_when_it_is_left() -> None:
    """What runs there is cut by who runs it."""
    server = Server()
    async with server.channels.use("a", {}):
        server.channels.forget("a")
        assert server.ended == []
        assert await server.use("a") == "a-1"
    assert server.ended == ["a-0"]


async def test_a_session_the_server_ended_is_not_used_again() -> None:
    """Nor ended once more."""
    server = Server()
    async with server.channels.use("a", {}) as channel:
        channel.lose()
        assert await server.use("a") == "a-1"
    assert server.ended == []


async def test_closing_ends_all() -> None:
    """Also what is in use, once."""
    server = Server()
    await server.use("a")
    async with server.channels.use("b", {}):
        server.channels.close()
        assert server.ended == ["a-0", "b-1"]
    assert server.ended == ["a-0", "b-1"]
