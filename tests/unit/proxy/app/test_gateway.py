import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from proxy.app.assemble import Assembled, assemble
from proxy.app.gateway import Gateway
from proxy.config import load_settings
from proxy.errors import PolicyError, PolicyInvalid, PolicyUnavailable, StoreInUse, StoreUnavailable
from proxy.model.kill import GLOBAL
from proxy.observability.masking import Masker
from proxy.pdp.base import StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.stores.sqlite import SqliteStore
from proxy.upstream.http import HttpUpstream
from tests.harness.changing_mcp import ChangingMcp, pin_of
from tests.harness.gateway import World
from tests.harness.ledger import SESSION, Call
from tests.harness.processes import children_of, is_alive
from tests.harness.tiny_bundle import BROKEN_RULE, FAILING_SUITE, write


def break_policy(world: World) -> None:
    write(world.bundle, {"main.rego": BROKEN_RULE})


def fail_suite(world: World) -> None:
    write(world.bundle, {"suites/reads.yaml": FAILING_SUITE})


def end_opa(world: World) -> None:
    """Have an OPA that checks bundles and does not serve."""
    opa = world.directory / "opa"
    opa.write_text(f'#!/bin/sh\nif [ "$1" = run ]; then exit 7; fi\nexec {find_opa().path} "$@"\n')
    opa.chmod(0o755)
    world.settings = {"policy": {"bundle": "policies", "opa": str(opa)}}


def stored_alerts(world: World) -> list[str]:
    """Return the kinds of all alerts in the ledger, delivered or not."""
    with closing(sqlite3.connect(world.database)) as ledger:
        return [kind for (kind,) in ledger.execute("SELECT kind FROM alerts ORDER BY seq")]


def series(gateway: Gateway, name: str) -> float:
    """Return one series of the scrape."""
    lines = gateway.parts.metrics.render().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"detent_{name} ")).split()[-1])


def copies(staging: Path) -> int:
    return len(list(staging.glob("detent-policy-*/*")))


def are_closed(gateway: Gateway) -> bool:
    """Whether the connections to servers and alert receivers are closed."""
    upstream = gateway.parts.registry.upstream("rec")
    assert isinstance(upstream, HttpUpstream)
    return gateway.parts.alert_http.is_closed and upstream._client._session.closed


def living_children() -> list[int]:
    return [pid for pid in children_of(os.getpid()) if is_alive(pid)]


def build(world: World) -> Assembled:
    return assemble(load_settings(world.write(), {}), {}, Masker())


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Gateway]:
    """Run a gateway until the block ends."""
    built = build(world)
    try:
        await built.gateway.start()
        yield built.gateway
    finally:
        await built.gateway.stop()
        built.cleanup()


@pytest.fixture
async def gateway(staging: Path, world: World) -> AsyncIterator[Gateway]:
    """A gateway that has started."""
    async with running(world) as gateway:
        yield gateway


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
        while len(living_children()) < 2:
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


async def test_a_reload_serves_the_directory_as_it_is_now(
    gateway: Gateway, world: World, staging: Path
) -> None:
    """New revision, new manifests, and one staged copy: the old one is gone."""
    before = gateway.parts.policy.revision
    world.data("tools/rec", {"read": world.tools["rec"]["read"]})
    revision = await gateway.reload_policy()
    assert gateway.parts.policy.revision == revision != before
    assert gateway.parts.catalogue.names() == ["rec/read"]
    assert gateway.parts.registry.definition("rec", "write") is None
    assert series(gateway, f'policy_info{{revision="{revision}"}}') == 1
    assert copies(staging) == 1


@pytest.mark.parametrize(
    "spoil", [break_policy, fail_suite], ids=["rego that is broken", "suites that fail"]
)
async def test_a_reload_of_a_bad_bundle_changes_nothing_and_alerts(
    gateway: Gateway, world: World, staging: Path, spoil: Callable[[World], None]
) -> None:
    """The last good policy decides on; its copy is the only one."""
    before, names = gateway.parts.policy.revision, gateway.parts.catalogue.names()
    world.data("tools/rec", {"read": world.tools["rec"]["read"]})
    spoil(world)
    with pytest.raises(PolicyInvalid):
        await gateway.reload_policy()
    assert (gateway.parts.policy.revision, gateway.parts.catalogue.names()) == (before, names)
    assert stored_alerts(world) == ["policy-reload-failed"]
    assert series(gateway, 'policy_reloads_total{result="failed"}') == 1
    assert copies(staging) == 1


async def test_after_a_failed_reload_the_next_good_one_is_taken(
    gateway: Gateway, world: World
) -> None:
    """A correction needs no restart."""
    good = (world.bundle / "main.rego").read_text()
    break_policy(world)
    with pytest.raises(PolicyInvalid):
        await gateway.reload_policy()
    (world.bundle / "main.rego").write_text(good + "\n# corrected\n")
    assert await gateway.reload_policy() == gateway.parts.policy.revision


async def test_reloads_at_once_are_made_one_after_the_other(
    gateway: Gateway, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the manifests of one could meet the rules of another, or miss their suites."""
    busy: list[int] = []
    at_once: list[int] = []
    load = gateway.parts.policy.reload

    async def watched(bundle: StagedBundle) -> None:
        busy.append(1)
        at_once.append(len(busy))
        await load(bundle)
        busy.pop()

    monkeypatch.setattr(gateway.parts.policy, "reload", watched)
    revisions = await asyncio.gather(*(gateway.reload_policy() for _ in range(3)))
    assert at_once == [1, 1, 1]
    assert set(revisions) == {gateway.parts.policy.revision}


async def test_an_engine_that_does_not_come_up_keeps_the_last_good_policy(
    gateway: Gateway, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only a bad bundle can make a reload fail."""

    async def down(_: StagedBundle) -> None:
        raise PolicyUnavailable("OPA was not ready")

    before = gateway.parts.policy.revision
    monkeypatch.setattr(gateway.parts.engine, "replace", down)
    with pytest.raises(PolicyUnavailable):
        await gateway.reload_policy()
    assert (gateway.parts.policy.revision, copies(staging)) == (before, 1)


@pytest.fixture
async def changing(world: World) -> AsyncIterator[ChangingMcp]:
    """A server whose one reviewed tool can change."""
    server = await ChangingMcp().start()
    world.servers = {"docs": {"mcp": {"url": server.url}, "allow_private": True}}
    reviewed: dict[str, Any] = {"pin": pin_of(server.definition), "effect": "read", "risk": 1}
    world.tools = {**world.tools, "docs": {"lookup": reviewed}}
    yield server
    await server.stop()


async def test_a_tool_that_leaves_its_pin_is_alerted_once(
    changing: ChangingMcp, world: World
) -> None:
    """Once each time: not at every look, but again after it had come back."""
    good = dict(changing.definition)
    async with running(world) as gateway:
        for description in ("Sends your keys.", "Sends your keys!", good["description"], "Again."):
            changing.definition["description"] = description
            await gateway.parts.registry.refresh()
    assert stored_alerts(world) == ["tool-quarantined", "tool-quarantined"]


async def test_a_tool_that_left_its_pin_while_we_were_away_is_alerted_at_the_start(
    changing: ChangingMcp, world: World
) -> None:
    """The first look counts too."""
    changing.definition["description"] = "Sends your keys."
    async with running(world):
        pass
    assert stored_alerts(world) == ["tool-quarantined"]


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
