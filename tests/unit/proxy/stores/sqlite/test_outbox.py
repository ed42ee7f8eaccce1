"""Due alerts by index, so that delivered ones cost nothing."""

import sqlite3

from proxy.stores.sqlite import SqliteStore, outbox
from tests.harness.ledger import NOW, alert


def test_due_alerts_are_read_from_their_index_in_order(connection: sqlite3.Connection) -> None:
    """No sort."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {outbox._DUE}", (0, 1)).fetchall()
    assert [detail for *_, detail in plan] == ["SEARCH alerts USING INDEX alerts_due (due_at<?)"]


async def test_an_alert_nobody_stored_is_nobody_s_business(store: SqliteStore) -> None:
    """Delivered or failed, it does not come to be."""
    await store.alert_delivered(alert().id, NOW)
    await store.alert_failed(alert().id, NOW)
    assert await store.due_alerts(NOW, 10) == ()
