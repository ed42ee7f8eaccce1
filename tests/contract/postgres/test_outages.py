"""A server that is stopped, killed, frozen, cut off or replaced: deny, then go on."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Iterator

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.lease import Renewal
from proxy.model.ledger import ReserveStatus
from proxy.stores.postgres import Address, PostgresStore
from proxy.stores.postgres.schema import inspect
from proxy.stores.postgres.standing import standing_of
from tests.harness.ledger import Call, kill, session
from tests.harness.postgres import Server, database_of, store_at

pytestmark = pytest.mark.timeout(180)
BACK_S = 20.0


@pytest.fixture
def url(durable_postgres: Server) -> str:
    """A new ledger on a server that may be stopped."""
    return durable_postgres.new()


@pytest.fixture
async def store(url: str) -> AsyncIterator[PostgresStore]:
    """A store with one open session."""
    opened = store_at(url)
    await opened.open()
    await opened.open_session(session(risk_limit=10**6), None, 10)
    yield opened
    await opened.close()


async def refused_within(store: PostgresStore, seconds: float) -> None:
    """Ask for everything a call needs; each is refused, in time."""
    asked: list[Awaitable[object]] = [
        store.reserve(Call("late").reservation()),
        store.ping(),
        store.session("ses1"),
        store.renew(Renewal("me", "n", 0, 0)),
        store.append_kill(kill("late")),
    ]
    for one in asked:
        start = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await one
        assert time.monotonic() - start < seconds


async def back(store: PostgresStore) -> None:
    """Wait until it writes again."""
    async with asyncio.timeout(BACK_S):
        while True:
            try:
                await store.ping()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_that_is_gone_denies_until_it_is_back(
    durable_postgres: Server, store: PostgresStore, mode: str
) -> None:
    """Stopped or crashed; what was acknowledged is there afterwards, kills are heard again."""
    await store.reserve(Call("s1").reservation())
    durable_postgres.stop(mode)
    try:
        await refused_within(store, 3)
    finally:
        durable_postgres.start()
    await back(store)
    assert (await store.reserve(Call("s2").reservation())).status is ReserveStatus.RESERVED
    assert {step.intent.step_id for step in await store.steps(None, (), 9)} == {"s1", "s2"}
    waiting = asyncio.create_task(store.pushed(0))
    await store.append_kill(kill("ord1"))
    await asyncio.wait_for(waiting, BACK_S)


async def test_attempts_grow_rare_while_the_server_is_gone(
    durable_postgres: Server, store: PostgresStore
) -> None:
    """Most callers are told at once; nobody hammers a server that starts."""
    durable_postgres.stop()
    try:
        start, refused = time.monotonic(), 0
        while time.monotonic() - start < 1:
            with pytest.raises(StoreUnavailable):
                await store.session("ses1")
            refused += 1
            await asyncio.sleep(0.005)
        assert store._database._pool._back_off_s > 0.2
        assert refused > 20
    finally:
        durable_postgres.start()
    await back(store)


async def test_a_frozen_server_is_not_waited_for(
    durable_postgres: Server, url: str, store: PostgresStore
) -> None:
    """Every statement has a deadline of its own, the connections are dropped."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    rows = await durable_postgres.execute(database_of(url), f"{query} AND pid <> pg_backend_pid()")
    pids = [durable_postgres.pid, *(row[0] for row in rows)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        await refused_within(store, 6)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    await back(store)


async def test_a_reservation_held_up_by_a_lock_is_refused_and_holds_up_no_kill(
    durable_postgres: Server, url: str, store: PostgresStore
) -> None:
    """Somebody has the row of its account; the kill comes first."""
    await store.reserve(Call("s1", risk=1).reservation())
    lock = "SELECT pg_sleep(4) FROM (SELECT 1 FROM detent.accounts FOR UPDATE) AS held"
    holding = asyncio.create_task(durable_postgres.execute(database_of(url), lock))
    await asyncio.sleep(0.3)
    reserving = asyncio.create_task(store.reserve(Call("s2", risk=1).reservation()))
    await asyncio.sleep(0.1)
    start = time.monotonic()
    await store.append_kill(kill("ord1"))
    assert time.monotonic() - start < 2
    with pytest.raises(StoreUnavailable):
        await reserving
    await holding


@pytest.fixture
def standby(durable_postgres: Server) -> Iterator[Server]:
    """A hot standby of the server."""
    server = durable_postgres.copy("hot_standby=on")
    try:
        yield server.start()
    finally:
        server.remove()


async def test_a_standby_is_refused(url: str, standby: Server) -> None:
    """It would answer reads of the past, and grant nothing."""
    at_standby = standby.url(database_of(url))
    with pytest.raises(StoreUnavailable, match="standby"):
        await store_at(at_standby).open()
    with pytest.raises(StoreUnavailable, match="standby"):
        await inspect(Address.parse(at_standby))


async def test_an_asynchronous_standby_is_known_of(
    durable_postgres: Server, url: str, standby: Server
) -> None:
    """`detent check` warns: a failover may lose what was acknowledged."""
    async with asyncio.timeout(BACK_S):
        while (told := await standing_of(Address.parse(url))).standbys == 0:
            await asyncio.sleep(0.05)
    assert (told.synchronous, told.standbys, told.is_durable) == ("", 1, True)


async def test_after_a_failover_the_new_primary_is_found(
    durable_postgres: Server, url: str, standby: Server
) -> None:
    """Two hosts in the URL; the old one is gone, the other is promoted."""
    ports = (durable_postgres.port, standby.port)
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    store = store_at(f"postgresql://detent@{hosts}/{database_of(url)}?connections=4")
    await store.open()
    await store.open_session(session(), None, 10)
    await caught_up(durable_postgres, standby, url)
    durable_postgres.stop("immediate")
    try:
        with pytest.raises(StoreUnavailable):
            await store.ping()
        standby.promote()
        await back(store)
        assert (await store.reserve(Call("s1").reservation())).status is ReserveStatus.RESERVED
    finally:
        await store.close()
        durable_postgres.start()


async def caught_up(primary: Server, standby: Server, url: str) -> None:
    """Wait until the standby has what the primary has."""
    (there,) = await primary.execute("postgres", "SELECT pg_current_wal_lsn()::text")
    ask = f"SELECT pg_last_wal_replay_lsn() >= '{there[0]}'::pg_lsn"
    async with asyncio.timeout(BACK_S):
        while not (await standby.execute(database_of(url), ask))[0][0]:
            await asyncio.sleep(0.05)
