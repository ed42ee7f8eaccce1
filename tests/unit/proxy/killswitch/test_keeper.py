import asyncio
from collections.abc import AsyncIterator
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
from proxy.model.kill import GLOBAL
from proxy.model.lease import LeaseTerms, Renewal
from tests.harness.authority import Log

TERMS = LeaseTerms(duration_s=0.1)


@pytest.fixture
def authority() -> Log:
    return Log(TERMS)


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


async def test_an_answer_that_comes_late_is_asked_for_again(
    lease: KillLease, switch: KillSwitch, authority: Log
) -> None:
    """A start on a busy machine takes longer; one that never hears anything ends."""
    authority.silent = True
    keeper = LeaseKeeper(lease, switch, authority)
    starting = asyncio.create_task(keeper.start())
    await until(lambda: len(authority.asked) > 1)
    authority.silent = False
    await starting
    await keeper.stop()
    authority.silent = True
    with pytest.raises(StoreUnavailable, match="no kill lease in time"):
        await LeaseKeeper(KillLease(TERMS), switch, authority).start()


@pytest.mark.usefixtures("keeper")
async def test_a_kill_of_our_own_is_acknowledged(
    switch: KillSwitch, kill_log: Any, authority: Log
) -> None:
    """Others wait for every holder, and we are one."""
    await switch.kill((GLOBAL,), "oncall", "drill")
    authority.entries = kill_log.entries
    await until(lambda: authority.acked == [1])


async def test_only_what_was_known_when_it_looked_is_acknowledged(
    keeper: LeaseKeeper, switch: KillSwitch, authority: Log
) -> None:
    """A call that looked before the next kill may still start, and its kill is not obeyed yet."""
    authority.kill(push=False)
    renewing = asyncio.create_task(keeper._renewed())
    while not switch.covers((GLOBAL,)):
        await asyncio.sleep(0)
    switch.threshold.enter("stp_1")
    authority.kill(push=False)
    switch.learn(authority.entries)
    await until(lambda: authority.acked)
    assert authority.acked == [1]
    await renewing


async def test_who_granted_leases_leaves_without_a_word(
    lease: KillLease, switch: KillSwitch, authority: Log
) -> None:
    """Their holders may start calls until ours has run out, so a kill has to wait for it."""
    relay = Relay(lease)
    keeper = LeaseKeeper(lease, switch, authority, relay)
    await keeper.start()
    relay.grant((("side", Renewal("side", "n", 0, 0)),))
    await keeper.stop()
    assert authority.gone == []


async def test_a_relay_acknowledges_after_its_holders(
    lease: KillLease, switch: KillSwitch, authority: Log
) -> None:
    """While one of them may still start calls, the epoch is not said to be obeyed."""
    relay = Relay(lease)
    keeper = LeaseKeeper(lease, switch, authority, relay)
    await keeper.start()
    await asyncio.sleep(TERMS.bound_s)
    relay.grant((("side", Renewal("side", "n", 0, 0)),))
    authority.kill()
    await until(lambda: switch.covers((GLOBAL,)))
    assert authority.acked == []
    relay.acknowledged("side", 1)
    await until(lambda: authority.acked == [1])
    await keeper.stop()


@pytest.mark.usefixtures("keeper")
async def test_what_looked_before_is_written_before_an_acknowledgement(
    switch: KillSwitch, authority: Log
) -> None:
    """A call between look and write may still start; one that comes later sees the kill."""
    switch.threshold.enter("stp_1")
    authority.kill()
    await until(lambda: switch.covers((GLOBAL,)))
    switch.threshold.enter("stp_2")
    await asyncio.sleep(0.05)
    assert authority.acked == []
    switch.threshold.leave("stp_1")
    await until(lambda: authority.acked == [1])


async def test_who_has_left_has_no_lease(
    lease: KillLease, keeper: LeaseKeeper, authority: Log
) -> None:
    """Nobody waits for it any more, so it may start nothing, whatever is still on its way."""
    asked = lease.ask(0, 0)
    await keeper.stop()
    lease.granted(await authority.renew(asked))
    assert not lease.fresh()


async def test_nobody_leaves_while_a_call_is_being_written(
    keeper: LeaseKeeper, switch: KillSwitch, authority: Log
) -> None:
    """Rather without a word: then the authority waits for the lease to run out."""
    switch.threshold.enter("stp_1")
    await keeper.stop()
    assert authority.gone == []


async def test_what_is_unforeseen_ends_the_renewals_and_is_told(
    lease: KillLease, keeper: LeaseKeeper, authority: Log
) -> None:
    """The lease is not given up: calls may start until it has run out, and somebody waits."""
    kept = asyncio.create_task(keeper.kept())
    authority.wrong = ValueError("unforeseen")
    with pytest.raises(ExceptionGroup):
        await kept
    assert authority.gone == []
    await until(lambda: not lease.fresh())
    authority.wrong = None


async def test_a_keeper_that_was_not_started_keeps_nothing(
    lease: KillLease, switch: KillSwitch, authority: Log
) -> None:
    """There is nothing to wait for, and nothing to end."""
    keeper = LeaseKeeper(lease, switch, authority)
    await keeper.kept()
    await keeper.stop()
    assert authority.asked == []
