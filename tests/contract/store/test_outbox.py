"""Alerts: due until they are delivered."""

from proxy.model.finding import Severity
from proxy.stores.base import Store
from tests.harness.ledger import NOW, after, alert


async def test_an_alert_is_due_at_once(store: Store) -> None:
    """It comes back whole, not tried yet, even when the clock was set back since."""
    given = alert(agent="loop", session_id="ses1", step_id="stp1", severity=Severity.WARNING)
    await store.enqueue_alert(given)
    assert await store.due_alerts(after(-3600), 10) == ((given, 0),)


async def test_an_alert_is_stored_once(store: Store) -> None:
    """The same id again is the same alert."""
    await store.enqueue_alert(alert())
    await store.enqueue_alert(alert(message="Another text."))
    assert await store.due_alerts(NOW, 10) == ((alert(), 0),)


async def test_a_failed_alert_waits_and_counts_its_tries(store: Store) -> None:
    """It is due again at the time it was given."""
    await store.enqueue_alert(alert())
    for tries, at in ((1, 10), (2, 30)):
        await store.alert_failed("alt1", after(at))
        assert await store.due_alerts(after(at - 1), 10) == ()
        assert await store.due_alerts(after(at), 10) == ((alert(), tries),)


async def test_a_delivered_alert_is_never_due_again(store: Store) -> None:
    """Not after a late failure, nor after being stored again."""
    await store.enqueue_alert(alert())
    await store.alert_delivered("alt1", NOW)
    await store.alert_failed("alt1", NOW)
    await store.enqueue_alert(alert())
    assert await store.due_alerts(after(3600), 10) == ()


async def test_the_longest_due_come_first_up_to_the_limit(store: Store) -> None:
    """Never tried before tried, in the order they came."""
    for n in range(4):
        await store.enqueue_alert(alert(f"alt{n}"))
    await store.alert_failed("alt0", after(1))
    due = await store.due_alerts(after(2), 3)
    assert [(one.id, tries) for one, tries in due] == [("alt1", 0), ("alt2", 0), ("alt3", 0)]
