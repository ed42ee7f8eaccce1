import asyncio
import socket
from collections.abc import Iterator

import pytest

from proxy.ingress import cover as module
from proxy.ingress.cover import Cover


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    """The socket of a sibling."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.setblocking(False)
        yield one


class Taken(list[socket.socket]):
    """What was accepted for a sibling."""

    async def reach(self, count: int) -> None:
        """Return when there are so many."""
        async with asyncio.timeout(5):
            while len(self) < count:
                await asyncio.sleep(0.001)

    def close(self) -> None:
        """Let go of them."""
        for one in self:
            one.close()


def client_of(bound: socket.socket) -> socket.socket:
    return socket.create_connection(bound.getsockname())


async def test_what_nobody_takes_is_taken(bound: socket.socket) -> None:
    """All of it, again and again."""
    bound.listen()
    taken = Taken()
    cover = Cover(bound, taken.append, 0.01)
    cover.start()
    with client_of(bound), client_of(bound):
        await taken.reach(2)
        with client_of(bound):
            await taken.reach(3)
    cover.close()
    taken.close()


async def test_others_have_their_turn_between_many(
    bound: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many at once, then the loop goes on; none is forgotten."""
    monkeypatch.setattr(module, "AT_ONCE", 1)
    bound.listen()
    taken = Taken()
    cover = Cover(bound, taken.append, 0.01)
    cover.start()
    with client_of(bound), client_of(bound), client_of(bound):
        await taken.reach(3)
    cover.close()
    taken.close()


async def test_what_its_worker_takes_in_time_is_left_to_it(bound: socket.socket) -> None:
    """A worker that is well loses nothing to its siblings."""
    bound.listen()
    taken = Taken()
    cover = Cover(bound, taken.append, 0.1)
    cover.start()
    with client_of(bound):
        await asyncio.sleep(0.02)
        bound.accept()[0].close()
        await asyncio.sleep(0.15)
    assert taken == []
    cover.close()


async def test_a_socket_that_does_not_listen_yet_is_looked_at_later(bound: socket.socket) -> None:
    """Its worker is still starting."""
    taken = Taken()
    cover = Cover(bound, taken.append, 0.01)
    cover.start()
    await asyncio.sleep(0.05)
    bound.listen()
    with client_of(bound):
        await taken.reach(1)
    cover.close()
    taken.close()


@pytest.mark.parametrize("wait_s", [0.0, 0.02])
async def test_nothing_is_taken_after_the_end(bound: socket.socket, wait_s: float) -> None:
    """Neither what is there nor what is being waited for."""
    bound.listen()
    taken = Taken()
    cover = Cover(bound, taken.append, 0.05)
    cover.start()
    with client_of(bound):
        await asyncio.sleep(wait_s)
        cover.close()
        await asyncio.sleep(0.1)
    assert taken == []
