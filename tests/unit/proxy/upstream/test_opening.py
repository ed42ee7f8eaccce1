"""What a server speaks."""

import asyncio

import pytest

from proxy.errors import UpstreamFailed
from proxy.model.mcp import Era
from proxy.upstream.opening import Eras, OtherEra, Probe, era_for

BOTH = (Era.HANDSHAKE, Era.STATELESS)


class Server:
    """Speaks what it is said to speak."""

    def __init__(self, *speaks: Era, fails: tuple[Era, ...] = ()) -> None:
        self.speaks = speaks
        self.fails = fails
        self.asked: list[Era] = []
        self.takes_s = 0.0

    def probe(self, era: Era) -> Probe:
        async def ask() -> None:
            self.asked.append(era)
            await asyncio.sleep(self.takes_s)
            if era in self.fails:
                raise UpstreamFailed("it is away")
            if era not in self.speaks:
                raise OtherEra

        return ask

    def eras(self, order: tuple[Era, ...] = BOTH, again_s: float = 60) -> Eras:
        return Eras({era: self.probe(era) for era in order}, again_s)


@pytest.mark.parametrize(
    ("speaks", "order", "known"),
    [
        (BOTH, BOTH, BOTH),
        (BOTH, BOTH[::-1], BOTH[::-1]),
        ((Era.STATELESS,), BOTH, (Era.STATELESS,)),
        (BOTH, (Era.STATELESS,), (Era.STATELESS,)),
    ],
)
async def test_both_eras_are_asked_for(
    speaks: tuple[Era, ...], order: tuple[Era, ...], known: tuple[Era, ...]
) -> None:
    """Once; the preferred one stands first."""
    server = Server(*speaks)
    eras = server.eras(order)
    assert (await eras.known(), await eras.known()) == (known, known)
    assert server.asked == list(order)


async def test_many_wait_for_one_answer() -> None:
    """One that stops waiting does not take it from the others."""
    server = Server(*BOTH)
    server.takes_s = 0.05
    eras = server.eras()
    waiting = [asyncio.create_task(eras.known()) for _ in range(5)]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    assert [await one for one in waiting[1:]] == [BOTH] * 4
    assert len(server.asked) == 2


async def test_a_server_that_speaks_nothing_failed() -> None:
    """And is asked again the next time."""
    server = Server()
    eras = server.eras()
    with pytest.raises(OtherEra):
        await eras.known()
    server.speaks = BOTH
    assert await eras.known() == BOTH


async def test_a_server_that_is_away_failed() -> None:
    """For the reason it gave."""
    with pytest.raises(UpstreamFailed, match="away"):
        await Server(fails=BOTH).eras().known()
    with pytest.raises(UpstreamFailed, match="away"):
        await Server(fails=(Era.STATELESS,)).eras().known()


async def test_what_failed_is_asked_again_later() -> None:
    """Nobody waits for that: what is known serves meanwhile."""
    server = Server(Era.HANDSHAKE, Era.STATELESS, fails=(Era.STATELESS,))
    eras = server.eras(again_s=0.01)
    assert await eras.known() == (Era.HANDSHAKE,)
    server.fails, server.takes_s = (), 0.01
    await asyncio.sleep(0.02)
    assert await eras.known() == (Era.HANDSHAKE,)
    async with asyncio.timeout(10):
        while await eras.known() != BOTH:
            await asyncio.sleep(0.01)


async def test_a_server_can_be_forgotten() -> None:
    """It is asked anew."""
    server = Server(Era.HANDSHAKE)
    eras = server.eras()
    await eras.known()
    server.speaks = (Era.STATELESS,)
    eras.forget()
    assert await eras.known() == (Era.STATELESS,)


async def test_asking_can_be_stopped() -> None:
    """Nothing of it is left."""
    server = Server(*BOTH)
    server.takes_s = 60
    eras = server.eras()
    eras.stop()
    waiting = asyncio.create_task(eras.known())
    await asyncio.sleep(0.01)
    eras.stop()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    ("client", "known", "era"),
    [
        (Era.HANDSHAKE, BOTH, Era.HANDSHAKE),
        (Era.STATELESS, BOTH, Era.STATELESS),
        (None, BOTH, Era.STATELESS),
        (Era.HANDSHAKE, (Era.STATELESS,), Era.STATELESS),
        (Era.STATELESS, (Era.HANDSHAKE,), Era.HANDSHAKE),
        (None, (Era.HANDSHAKE,), Era.HANDSHAKE),
    ],
)
def test_a_call_goes_in_its_clients_era(
    client: Era | None, known: tuple[Era, ...], era: Era
) -> None:
    """Where the server speaks it; a client that speaks no MCP needs no session."""
    assert era_for(client, known) is era
