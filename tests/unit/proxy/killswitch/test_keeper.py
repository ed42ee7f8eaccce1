import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import StoreUnavailable
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.keeper import LeaseKeeper
from proxy.killswitch.lease import KillLease
from proxy.killswitch.relay import Relay
from proxy.killswitch.switch import KillSwitch
from proxy.model.kill import GLOBAL, KillAction, KillEntry, KillOrder
from proxy.model.lease import Grant, LeaseTerms, Renewal

TERMS = LeaseTerms(duration_s=0.1)


class Log:
    """An authority in memory that can be made to fail or to say nothing."""

    def __init__(self) -> None:
        self.entries: list[KillEntry] = []
        self.acked: list[int] = []
        self.asked: list[Renewal] = []
        self.gone: list[str] = []
        self.broken = self.silent = False
        self._news = asyncio.Event()

    def kill(self, *, push: bool = True) -> KillEntry:
        """Commit a kill of everything."""
        number = len(self.entries) + 1
        at = datetime.now(UTC)
        order = KillOrder(f"kil_{number}", KillAction.KILL, (GLOBAL,), "oncall", "", at)
        self.entries.append(KillEntry(number, order))
        if push:
            self._news.set()
        return self.entries[-1]

    async def renew(self, renewal: Renewal) -> Grant:
        self._check()
        self.asked.append(renewal)
        if self.silent:
            await asyncio.Event().wait()
        news = [entry for entry in self.entries if entry.epoch > renewal.known]
        return Grant(renewal.nonce, TERMS.duration_s, news, asyncio.get_running_loop().time())

    async def acknowledge(self, holder: str, epoch: int) -> None:
        del holder
        self._check()
        self.acked.append(epoch)

    async def leave(self, holder: str) -> None:
        self._check()
        self.gone.append(holder)

    async def pushed(self, known: int) -> None:
        self._check()
        while len(self.entries) <= known:
            await self._news.wait()
            self._news.clear()

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailable("the authority is away")


@pytest.fixture
def authority() -> Log:
    return Log()


@pytest.fixture
def flights() -> InFlight:
    return InFlight()


@pytest.fixture
async def switch(kill_log: Any, flights: InFlight, tmp_path: Path) -> AsyncIterator[KillSwitch]:
    switch = KillSwitch(kill_log, HaltFile(tmp_path / "halt.json"), flights)
    await switch.start()
    yield switch
    await switch.stop()


@pytest.fixture
def lease() -> KillLease:
    return KillLease(TERMS)


@pytest.fixture
async def keeper(
    lease: KillLease, switch: KillSwitch, authority: Log
) -> AsyncIterator[LeaseKeeper]:
    keeper = LeaseKeeper(lease, switch, authority)
    await keeper.start()
    yield keeper
    await keeper.stop()


async def until(condition: Any) -> None:
    """Wait up to two seconds for a condition."""
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.usefixtures("keeper")
async def test_a_lease_stays_fresh_while_the_authority_answers(
    lease: KillLease, authority: Log
) -> None:
    """Renewals go out before it ends."""
    assert lease.fresh()
    await until(lambda: len(authority.asked) > 6)
    assert lease.fresh()


@pytest.mark.usefixtures("keeper")
async def test_a_push_is_obeyed_then_acknowledged(switch: KillSwitch, authority: Log) -> None:
    """The kill covers before its epoch is said to be obeyed."""
    authority.kill()
    await until(lambda: authority.acked)
    assert authority.acked == [1]
    assert switch.covers((GLOBAL,))
    await until(lambda: authority.asked[-1].known == 1)
    assert authority.asked[-1].acked == 1


@pytest.mark.usefixtures("keeper")
async def test_a_kill_nobody_pushed_comes_with_the_next_renewal(
    switch: KillSwitch, authority: Log
) -> None:
    """Pushes only hasten."""
    authority.kill(push=False)
    await until(lambda: switch.covers((GLOBAL,)))


@pytest.mark.usefixtures("keeper")
@pytest.mark.parametrize("way", ["broken", "silent"])
async def test_without_answers_the_lease_runs_out_and_comes_back(
    lease: KillLease, authority: Log, way: str
) -> None:
    """An authority that fails, and one that says nothing."""
    setattr(authority, way, True)
    authority.kill()
    await until(lambda: not lease.fresh())
    setattr(authority, way, False)
    await until(lambda: authority.asked[-1].acked == 1)
    await until(lease.fresh)


async def test_the_end_gives_the_lease_up(
    lease: KillLease, switch: KillSwitch, authority: Log
) -> None:
    """Nobody has to wait for a holder that is gone; an authority that is away is no obstacle."""
    keeper = LeaseKeeper(lease, switch, authority)
    await keeper.start()
    await keeper.stop()
    assert authority.gone == [lease.holder]
    authority.broken = True
    await keeper.stop()


async def test_no_first_lease_no_start(
    lease: KillLease, switch: KillSwitch, authority: Log
) -> None:
    """A process that cannot reach the kill log does not begin to serve."""
    authority.broken = True
    with pytest.raises(StoreUnavailable):
        await LeaseKeeper(lease, switch, authority).start()


async def test_a_relay_acknowledges_after_its_holders(
    lease: KillLease, switch: KillSwitch, authority: Log
) -> None:
    """While one of them may still start calls, the epoch is not said to be obeyed."""
    relay = Relay(lease)
    keeper = LeaseKeeper(lease, switch, authority, relay)
    await keeper.start()
    await asyncio.sleep(TERMS.bound_s)
    relay.grant(Renewal("side", "n", 0, 0))
    authority.kill()
    await until(lambda: switch.covers((GLOBAL,)))
    assert authority.acked == []
    relay.acknowledged("side", 1)
    await until(lambda: authority.acked == [1])
    await keeper.stop()
