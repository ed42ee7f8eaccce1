import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.app.assemble import Assembled
from proxy.app.gateway import Gateway
from proxy.errors import PolicyError, PolicyInvalid, StoreInUse, StoreUnavailable
from proxy.model.kill import GLOBAL
from proxy.stores.sqlite import SqliteStore
from tests.harness.assembled import (
    are_closed,
    build,
    end_opa,
    fail_suite,
    living_children,
    running,
    series,
)
from tests.harness.ledger import SESSION, Call
from tests.harness.processes import command_of
from tests.harness.world import World


@pytest.fixture
async def gateway(staging: Path, world: World) -> AsyncIterator[Gateway]:
    """A gateway that has started."""
    async with running(world) as gateway:
        yield gateway


async def test_the_key_of_what_clients_carry_is_the_ledgers(gateway: Gateway) -> None:
    """Known before anything is served, and the same at every replica."""
    assert len(gateway.seal_key) == 32
    assert gateway.seal_key == await gateway.parts.store.shared_key("request-state")


async def test_a_stop_ends_everything_and_a_second_one_nothing(
    world: World, gateway: Gateway
) -> None:
    """No child, no connection, and the ledger is free."""
    assert series(gateway, 'policy_reloads_total{result="ok"}') == 1
    await gateway.stop()
    await gateway.stop()
    assert are_closed(gateway)
    assert living_children() == []
    again = SqliteStore(world.database)
    await again.open()
    await again.close()


@pytest.mark.parametrize(
    ("spoil", "error"),
    [(fail_suite, PolicyInvalid), (end_opa, PolicyError)],
    ids=["suites that fail", "no policy engine"],
)
async def test_a_start_that_fails_undoes_what_had_started(
    world: World, spoil: Callable[[World], None], error: type[Exception]
) -> None:
    """The ledger was open: it is free again; no OPA, no connection is left."""
    world.write()
    spoil(world)
    built = build(world)
    with pytest.raises(error):
        await built.gateway.start()
    assert are_closed(built.gateway)
    assert living_children() == []
    again = SqliteStore(world.database)
    await again.open()
    await again.close()
    built.cleanup()


async def test_a_ledger_in_use_is_told_and_stays_with_its_owner(
    world: World, gateway: Gateway
) -> None:
    """The other process is named; what was made for the start is closed."""
    second = build(world)
    with pytest.raises(StoreInUse, match=f"in use by process {os.getpid()}"):
        await second.gateway.start()
    assert are_closed(second.gateway)
    await gateway.parts.store.ping()
    second.cleanup()


async def test_a_start_that_is_given_up_undoes_what_had_started(world: World) -> None:
    """A server that never answers holds it; a cancellation does not wait for that."""
    world.servers = {"slow": {"mcp": {"command": ["sleep", "60"]}}}
    world.write()
    built = build(world)
    starting = asyncio.create_task(built.gateway.start())
    async with asyncio.timeout(20):
        while not any("sleep" in command_of(pid) for pid in living_children()):
            await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert living_children() == []
    assert are_closed(built.gateway)
    built.cleanup()


async def test_open_intents_of_the_last_run_become_unknown_and_are_listed(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log and as a metric; they are not sent again."""
    world.database.parent.mkdir(mode=0o700)
    crashed = SqliteStore(world.database)
    await crashed.open()
    await crashed.open_session(SESSION, None, 10)
    await crashed.reserve(Call().reservation())
    await crashed.close()
    with caplog.at_level(logging.WARNING, "proxy.app.gateway"):
        async with running(world) as gateway:
            assert series(gateway, "open_intents") == 1
    (told,) = [vars(record) for record in caplog.records if record.name == "proxy.app.gateway"]
    assert (told["step_id"], told["tool"]) == ("stp1", "repo/git_commit")


async def test_a_drain_refuses_new_calls_and_waits_for_those_in_flight(
    assembled: Assembled,
) -> None:
    """Streams are told to close at once; the drain ends with the last call."""
    gateway = assembled.gateway
    flights = gateway.parts.flights
    with flights.stream([GLOBAL]) as closing, flights.track("stp1", [GLOBAL]):
        draining = asyncio.create_task(gateway.drain(5))
        await closing.wait()
        assert gateway.parts.admission.draining
        assert not draining.done()
    async with asyncio.timeout(1):
        await draining


async def test_a_call_that_outlasts_the_drain_is_cut(assembled: Assembled) -> None:
    """It ends as it likes; the drain has an end all the same."""
    gateway = assembled.gateway

    async def call() -> str:
        with gateway.parts.flights.track("stp1", [GLOBAL]) as flight:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                assert flight.absorb()
            return flight.cause

    calling = asyncio.create_task(call())
    await asyncio.sleep(0)
    await gateway.drain(0.05)
    assert calling.done()
    assert await calling == "draining"


async def test_a_halt_kills_everything(gateway: Gateway) -> None:
    """Durable, and counted."""
    report = await gateway.halt("signal", "SIGUSR1")
    assert (report.committed, report.scopes) == (True, (GLOBAL,))
    assert gateway.parts.kill_switch.covers([GLOBAL])
    assert series(gateway, 'kills_total{scope="global"}') == 1


async def test_a_ledger_that_cannot_be_read_stops_the_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its kill log nobody knows what is halted."""

    async def broken(_: Any) -> Any:
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(SqliteStore, "kill_log", broken)
    built = build(world)
    with pytest.raises(StoreUnavailable):
        await built.gateway.start()
    assert living_children() == []
    built.cleanup()
