import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from proxy.monitors.alerts import delivery
from proxy.monitors.alerts.delivery import AlertDelivery
from proxy.observability.metrics import Metrics
from proxy.stores.sqlite.store import SqliteStore
from tests.harness.alerts import FAR, BrokenOutbox, Sink, alert, emptied, running, until


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "detent.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(delivery, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(delivery, "UNREADABLE_S", 0.05)


async def test_an_alert_arrives_at_once_and_once(store: SqliteStore) -> None:
    """From raising to the sink it takes far less than a second."""
    sink = Sink()
    subject = AlertDelivery(store, [sink], Metrics("1"))
    async with running(subject):
        raised_at = time.monotonic()
        await subject.raise_alert(alert())
        await until(emptied(store))
        await asyncio.sleep(0.1)
    assert sink.ids == ["alr_1"]
    assert sink.tries[0][0] - raised_at < 0.5


async def test_raising_waits_for_the_ledger_and_not_for_a_sink(store: SqliteStore) -> None:
    """The alert is durable when the call goes on, whoever sleeps."""
    sink = Sink()
    sink.gate.clear()
    subject = AlertDelivery(store, [sink], Metrics("1"))
    async with running(subject), asyncio.timeout(1):
        await subject.raise_alert(alert())
        await until(lambda: len(sink.tries) == 1)
        await subject.raise_alert(alert("alr_2"))
    assert len(await store.due_alerts(datetime.now(UTC) + FAR, 10)) == 2


async def test_a_failing_sink_is_tried_again_with_growing_pauses(store: SqliteStore) -> None:
    """Each pause is about twice the one before it, up to the longest; the id stays."""
    sink = Sink(failures=5)
    subject = AlertDelivery(store, [sink], Metrics("1"))
    async with running(subject):
        await subject.raise_alert(alert())
        await until(emptied(store))
    times = [at for at, _ in sink.tries]
    pauses = [after - before for before, after in pairwise(times)]
    assert {alert_id for _, alert_id in sink.tries} == {"alr_1"}
    assert all(
        pause >= least for pause, least in zip(pauses, (0.02, 0.04, 0.08, 0.1, 0.1), strict=True)
    )
    assert sum(pauses) < 2


async def test_the_first_pauses_are_half_a_second_doubling(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sink down for ten seconds has its alert at most eight seconds after it is back."""
    monkeypatch.undo()
    subject = AlertDelivery(store, [], Metrics("1"))
    pauses = [subject._later("alr_1", tries) for tries in (0, 1, 2, 3, 4, 5, 6, 7, 8, 5_000)]
    assert pauses == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


async def test_a_sink_that_has_the_alert_is_left_alone(store: SqliteStore) -> None:
    """One sink's failure repeats nothing at the others."""
    good, bad = Sink(), Sink(failures=3)
    subject = AlertDelivery(store, [good, bad], Metrics("1"))
    async with running(subject):
        await subject.raise_alert(alert())
        await until(emptied(store))
    assert good.ids == bad.ids == ["alr_1"]
    assert len(good.tries) == 1


async def test_a_slow_sink_delays_neither_other_sinks_nor_other_alerts(store: SqliteStore) -> None:
    """Every alert is tried at every sink on its own."""
    slow, quick = Sink(), Sink()
    slow.gate.clear()
    subject = AlertDelivery(store, [slow, quick], Metrics("1"))
    async with running(subject):
        await subject.raise_alert(alert())
        await until(lambda: quick.ids == ["alr_1"])
        await subject.raise_alert(alert("alr_2"))
        await until(lambda: quick.ids == ["alr_1", "alr_2"])
    assert slow.ids == []


async def test_what_an_earlier_process_left_is_delivered(store: SqliteStore) -> None:
    """Even an alert whose next try lies ahead is tried when the process starts."""
    await store.enqueue_alert(alert())
    await store.alert_failed("alr_1", datetime.now(UTC) + timedelta(hours=1))
    sink = Sink()
    async with running(AlertDelivery(store, [sink], Metrics("1"))):
        await until(emptied(store))
    assert sink.ids == ["alr_1"]


async def test_stopping_in_the_middle_loses_nothing(store: SqliteStore) -> None:
    """An alert that was on its way is still in the outbox."""
    sink = Sink()
    sink.gate.clear()
    subject = AlertDelivery(store, [sink], Metrics("1"))
    async with running(subject):
        await subject.raise_alert(alert())
        await until(lambda: len(sink.tries) == 1)
    sink.gate.set()
    async with running(AlertDelivery(store, [sink], Metrics("1"))):
        await until(emptied(store))
    assert sink.ids == ["alr_1"]


async def test_stopping_at_the_moment_of_an_alert_stops(store: SqliteStore) -> None:
    """A cancellation that meets a wake is not lost."""
    for number in range(20):
        subject = AlertDelivery(store, [Sink()], Metrics("1"))
        async with asyncio.timeout(5), running(subject):
            await asyncio.sleep(0.01)
            await subject.raise_alert(alert(f"alr_{number}"))


async def test_many_alerts_all_arrive(store: SqliteStore) -> None:
    """More than are looked at in one go."""
    sink = Sink(failures=50)
    subject = AlertDelivery(store, [sink], Metrics("1"))
    for number in range(230):
        await subject.raise_alert(alert(f"alr_{number}"))
    async with running(subject):
        await until(emptied(store), within_s=20)
    assert sorted(sink.ids) == sorted(f"alr_{number}" for number in range(230))


async def test_without_sinks_an_alert_is_only_logged(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing piles up, and the log has it."""
    subject = AlertDelivery(store, [], Metrics("1"))
    async with running(subject):
        await subject.raise_alert(alert())
        await until(emptied(store))
    assert "alert: A canary." in caplog.text


async def test_a_broken_ledger_does_not_stop_an_alert(store: SqliteStore) -> None:
    """The alert that says so is the one people need; it goes out from memory, and once."""
    outbox = BrokenOutbox(store)
    sink = Sink(failures=2)
    subject = AlertDelivery(outbox, [sink], Metrics("1"))
    async with running(subject):
        await subject.raise_alert(alert())
        await until(lambda: sink.ids == ["alr_1"])
        outbox.broken = False
        await subject.raise_alert(alert("alr_2"))
        await until(lambda: "alr_2" in sink.ids)
        await until(emptied(store))
    assert sink.ids == ["alr_1", "alr_2"]


async def test_an_alert_kept_in_memory_is_stored_when_the_ledger_is_back(
    store: SqliteStore,
) -> None:
    """It survives the next restart like any other."""
    outbox, sink = BrokenOutbox(store), Sink()
    sink.gate.clear()
    subject = AlertDelivery(outbox, [sink], Metrics("1"))
    await subject.raise_alert(alert())
    outbox.broken = False
    async with running(subject):
        await until(lambda: len(sink.tries) == 1)
    assert [kept.id for kept, _ in await store.due_alerts(datetime.now(UTC) + FAR, 10)] == ["alr_1"]


async def test_an_alert_that_cannot_be_stored_holds_up_no_other(store: SqliteStore) -> None:
    """Not those in memory, nor those in the ledger; it goes out itself."""
    sink = Sink(failures=2)
    subject = AlertDelivery(store, [sink], Metrics("1"))
    await store.enqueue_alert(alert("alr_stored"))
    await subject.raise_alert(replace(alert("alr_odd"), message="\udcff"))
    subject._unstored["alr_next"] = alert("alr_next")
    assert list(subject._unstored) == ["alr_odd", "alr_next"]
    async with running(subject):
        await until(lambda: len(sink.ids) == 3)
        await until(emptied(store))
    assert sorted(sink.ids) == ["alr_next", "alr_odd", "alr_stored"]


async def test_memory_for_alerts_is_bounded(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood while the disk is full does not take the process down."""
    monkeypatch.setattr(delivery, "MAX_UNSTORED", 3)
    subject = AlertDelivery(BrokenOutbox(store), [], Metrics("1"))
    for number in range(10):
        await subject.raise_alert(alert(f"alr_{number}"))
    assert len(subject._unstored) == 3


async def test_a_delivery_that_cannot_be_stored_is_not_sent_again(store: SqliteStore) -> None:
    """The sinks that have it are remembered until the ledger knows."""
    outbox, sink = BrokenOutbox(store), Sink()
    outbox.broken = False
    sink.gate.clear()
    subject = AlertDelivery(outbox, [sink], Metrics("1"))
    async with running(subject):
        await subject.raise_alert(alert())
        await until(lambda: len(sink.tries) == 1)
        outbox.broken = True
        sink.gate.set()
        await asyncio.sleep(0.15)
        outbox.broken = False
        await until(emptied(store))
    assert sink.ids == ["alr_1"]


async def test_no_sinks_url_is_logged(store: SqliteStore, caplog: pytest.LogCaptureFixture) -> None:
    """URLs of chat webhooks are secrets; only the kind of failure is told."""
    sink = Sink(failures=1)
    subject = AlertDelivery(store, [sink], Metrics("1"))
    async with running(subject):
        await subject.raise_alert(alert())
        await until(emptied(store))
    assert "AlertNotDelivered" in caplog.text
    assert "secret.example.test" not in caplog.text


async def test_tries_and_what_waits_are_counted(store: SqliteStore) -> None:
    """People see a dead sink on their dashboard."""
    metrics = Metrics("1")
    sink = Sink(failures=2)
    sink.gate.clear()
    subject = AlertDelivery(store, [sink], metrics)
    async with running(subject):
        await subject.raise_alert(alert())
        await until(lambda: b"detent_alerts_pending 1.0" in metrics.render())
        sink.gate.set()
        await until(lambda: b"detent_alerts_pending 0.0" in metrics.render())
    assert b'detent_alerts_total{result="failed"} 2.0' in metrics.render()
    assert b'detent_alerts_total{result="delivered"} 1.0' in metrics.render()
