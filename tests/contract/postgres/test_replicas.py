"""What one replica does, another sees: kills by push, sessions, intents, alerts."""

import asyncio
import time
from dataclasses import replace

from proxy.model.lease import Renewal
from proxy.model.ledger import IntentState
from proxy.model.session import SessionState
from proxy.stores.postgres import PostgresStore
from tests.harness.ledger import NOW, Call, after, alert, kill, session, settled
from tests.harness.postgres import Server, database_of
from tests.harness.replicas import replicas

Stores = list[PostgresStore]
LISTENERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE '%max(epoch)%' AND pid <> pg_backend_pid()
"""


async def test_a_kill_is_pushed_to_every_replica_within_milliseconds(stores: Stores) -> None:
    """The median of twenty; the slowest within a second on a busy machine."""
    took_ms = []
    for epoch in range(20):
        waiting = [asyncio.create_task(store.pushed(epoch)) for store in stores]
        await asyncio.sleep(0.005)
        start = time.perf_counter()
        await stores[0].append_kill(kill(f"ord{epoch}"))
        await asyncio.wait_for(asyncio.gather(*waiting), 2)
        took_ms.append((time.perf_counter() - start) * 1000)
    assert sorted(took_ms)[10] < 100
    assert max(took_ms) < 1000


async def test_a_kill_that_came_while_nobody_listened_is_found_after_the_reconnect(
    postgres: Server, url: str, stores: Stores
) -> None:
    """The epoch is read again; no notification is needed."""
    waiting = asyncio.create_task(stores[1].pushed(0))
    await asyncio.sleep(0)
    await postgres.execute(database_of(url), LISTENERS)
    await stores[0].append_kill(kill("ord1"))
    await asyncio.wait_for(waiting, 5)
    again = asyncio.create_task(stores[1].pushed(1))
    await asyncio.sleep(0.3)
    await stores[0].append_kill(kill("ord2"))
    await asyncio.wait_for(again, 5)


async def test_only_kills_are_notified(postgres: Server, url: str, stores: Stores) -> None:
    """Whatever else is written."""
    heard: list[str] = []
    connection = stores[0]._database.watch._connection
    assert connection is not None
    await connection.add_listener("detent_kills", lambda *given: heard.append(given[-1]))
    await stores[1].open_session(session(), "a" * 64, 10)
    await stores[1].reserve(Call(credential=True, labels=("x",)).reservation())
    await stores[1].settle(settled())
    await stores[1].enqueue_alert(alert())
    await stores[1].ping()
    await stores[1].append_kill(kill("ord1"))
    await asyncio.wait_for(stores[0].pushed(0), 2)
    assert heard == ["1"]


async def test_a_session_that_ends_on_one_replica_is_ended_on_all(stores: Stores) -> None:
    """By token too."""
    await stores[0].open_session(session(), "a" * 64, 10)
    assert await stores[1].session_by_token("a" * 64)
    await stores[2].end_session("ses1", NOW)
    found = await stores[1].session_by_token("a" * 64)
    assert found is not None
    assert found.state is SessionState.ENDED


async def test_a_replica_that_starts_leaves_the_intents_of_the_living_alone(
    url: str, stores: Stores
) -> None:
    """They are theirs to settle, until they stop."""
    await stores[0].open_session(session(), None, 10)
    await stores[0].reserve(Call("s1").reservation())
    await stores[1].reserve(Call("s2").reservation())
    async with replicas(url, 1) as (fourth,):
        assert await fourth.open_intents_to_unknown(after(1)) == ()
        await stores[0].close()
        (found,) = await fourth.open_intents_to_unknown(after(2))
        assert (found.intent.step_id, found.state) == ("s1", IntentState.UNKNOWN)


async def test_a_sidecar_that_reserves_lives_to_all_replicas(stores: Stores) -> None:
    """Also to those that did not grant it its lease, and have not been told of it yet."""
    await stores[0].open_session(session(), None, 10)
    call = Call().reservation()
    await stores[0].reserve(replace(call, intent=replace(call.intent, holder="pod-1/hld")))
    assert await stores[1].abandoned_to_unknown(after(1), 60) == ()
    assert len(await stores[1].abandoned_to_unknown(after(1), 0)) == 1


async def test_a_replica_that_lost_its_lock_and_renews_its_lease_is_not_gone(
    stores: Stores,
) -> None:
    """One of the two may be cut off for a moment; both are when it is dead."""
    await stores[0].open_session(session(), None, 10)
    call = Call().reservation()
    await stores[0].reserve(replace(call, intent=replace(call.intent, holder="hld_1")))
    await stores[1].renew(Renewal("hld_1", "nonce", 0, 0))
    await stores[0].close()
    assert await stores[1].abandoned_to_unknown(after(1), 60) == ()
    await stores[1].leave("hld_1")
    (found,) = await stores[1].abandoned_to_unknown(after(1), 60)
    assert found.state is IntentState.UNKNOWN


async def test_a_step_is_settled_by_any_replica(stores: Stores) -> None:
    """Reserved on one, sent on another, settled on the third."""
    await stores[0].open_session(session(), None, 10)
    await stores[0].reserve(Call().reservation())
    await stores[1].mark_sending("stp1")
    await stores[2].settle(settled())
    (step,) = await stores[0].steps(None, (), 10)
    assert step.state is IntentState.DONE


async def test_an_alert_is_taken_by_one_replica_at_a_time(stores: Stores) -> None:
    """Until it fails there, or the replica is silent for half a minute."""
    for n in range(6):
        await stores[0].enqueue_alert(alert(f"alt{n}"))
    taken = await asyncio.gather(*(store.due_alerts(NOW, 10) for store in stores))
    assert sorted(one.id for share in taken for one, _ in share) == [f"alt{n}" for n in range(6)]
    owner = next(n for n, share in enumerate(taken) if share)
    assert await stores[owner].due_alerts(NOW, 10) == taken[owner]
    first = taken[owner][0][0]
    await stores[owner].alert_failed(first.id, after(1))
    assert await stores[(owner + 1) % 3].due_alerts(after(1), 10) == ((first, 1),)
