"""Open steps are found by the index of unsettled ones; who lives is remembered."""

import sqlite3
from dataclasses import replace

import pytest

from proxy.stores.sqlite import SqliteStore, recoveries
from tests.harness.ledger import Call, after, session

TIMES = {"by": "", "at": 0, "until": 0}
LOOKS = {
    "taken": (recoveries._TAKE, TIMES | {"limit": 1, "can_tell": 1, "living": "[]"}),
    "left by sidecars": (recoveries._SIDECARS_LEFT, {"detail": "", "at": 0, "living": "[]"}),
    "under a kill": (
        recoveries._COVERED, {"epoch": 1, "spared": "[]", "scopes": "[]", "limit": 1},
    ),
    "counted": (recoveries._UNSETTLED, {}),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "values"), LOOKS.values(), ids=LOOKS)
def test_a_look_costs_what_is_open(
    connection: sqlite3.Connection, sql: str, values: dict[str, object]
) -> None:
    """Every few seconds; the ledger behind it may be long."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()
    assert any("INDEX steps_unsettled" in detail for *_, detail in plan)
    assert not any(detail == "SCAN steps" for *_, detail in plan)


async def test_a_sidecar_has_time_to_be_heard_of_after_a_start(store: SqliteStore) -> None:
    """The gateway was away, not the sidecar."""
    await store.open_session(session(), None, 10)
    call = Call().reservation()
    await store.reserve(replace(call, intent=replace(call.intent, holder="pod/hld_1")))
    assert await store.abandoned_to_unknown(after(1), 60) == ()
    store._since_s -= 60
    assert len(await store.abandoned_to_unknown(after(1), 60)) == 1


async def test_a_sidecar_that_was_heard_of_lives(store: SqliteStore) -> None:
    """Until it has been silent for long enough."""
    await store.open_session(session(), None, 10)
    call = Call().reservation()
    await store.reserve(replace(call, intent=replace(call.intent, holder="pod/hld_1")))
    store._since_s -= 60
    await store.note_sidecars(("pod/hld_1",))
    assert await store.abandoned_to_unknown(after(1), 30) == ()
    store._sidecars["pod/hld_1"] -= 31
    assert len(await store.abandoned_to_unknown(after(1), 30)) == 1
