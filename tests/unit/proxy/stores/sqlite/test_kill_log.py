"""Kills go first, and the fold in the tables is the fold of the model."""

import asyncio
import sqlite3
import threading
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.model.kill import GLOBAL, KillState, Scope, ScopeKind
from proxy.stores.rows import scope_key
from proxy.stores.sqlite import SqliteStore, kill_log
from tests.harness.ledger import kill, lift

SCOPES = (GLOBAL, Scope(ScopeKind.TENANT, "acme"), Scope(ScopeKind.AGENT, "acme/loop"))
ORDERS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6), st.lists(st.sampled_from(SCOPES), max_size=3))
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(ORDERS)
def test_floors_and_kills_in_force_are_those_of_the_model(
    connection: sqlite3.Connection, orders: list[tuple[bool, int, list[Scope]]]
) -> None:
    """Lifts of anything: of nothing, of a lift, twice, of a kill to come, scopes named twice."""
    connection.execute("DELETE FROM kills")
    connection.execute("DELETE FROM kill_scopes")
    for n, (is_kill, epoch, scopes) in enumerate(orders):
        given_scopes = tuple(scopes) or (GLOBAL,)
        order = kill(f"o{n}", *given_scopes) if is_kill else lift(f"o{n}", epoch, *given_scopes)
        assert kill_log._append(connection, order).epoch == n + 1
    folded = KillState.fold(kill_log._log(connection))
    rows = connection.execute("SELECT scope, floor, active FROM kill_scopes").fetchall()
    active = {
        scope_key(scope): sum(scope in entry.order.scopes for entry in folded.active)
        for scope in folded.floors
    }
    assert {scope: floor for scope, floor, _ in rows} == {
        scope_key(scope): floor for scope, floor in folded.floors.items()
    }
    assert {scope: count for scope, _, count in rows} == active


async def test_a_kill_does_not_wait_for_the_writes_queued_before_it(store: SqliteStore) -> None:
    """It is durable and answered while they still wait."""
    free = threading.Event()
    order: list[str] = []

    async def told(name: str, write: Coroutine[Any, Any, object]) -> None:
        await write
        order.append(name)

    slow = asyncio.create_task(store._database.write(lambda _connection: free.wait(10)))
    pings = [asyncio.create_task(told("ping", store.ping())) for _ in range(5)]
    killed = asyncio.create_task(told("kill", store.append_kill(kill("o1"))))
    await asyncio.sleep(0.01)
    free.set()
    await asyncio.gather(slow, killed, *pings)
    assert order == ["kill", *["ping"] * 5]
