"""Alerts from the outbox to every sink: durable first, then delivered at least once, under one id.

Raising an alert costs one write to the ledger and never waits for a sink. What was not delivered
when the process ended is delivered by the next one.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NoReturn, Protocol

from proxy.errors import StoreError
from proxy.model.finding import Alert
from proxy.monitors.base import AlertSink
from proxy.observability.metrics import Metrics

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
IDLE_S = 30.0
UNREADABLE_S = 1.0
AT_ONCE = 100
MAX_UNSTORED = 1_000

# Wide enough to see every alert; when the next try is due is kept by the monotonic clock, which
# nobody sets back.
_EVERY = timedelta(days=365)


class AlertOutbox(Protocol):
    """The store's outbox. All methods raise StoreError."""

    async def enqueue_alert(self, alert: Alert) -> None:
        """Store an alert for delivery."""
        ...

    async def due_alerts(self, now: datetime, limit: int) -> tuple[tuple[Alert, int], ...]:
        """Return undelivered alerts due by then, the longest due first, with tries so far."""
        ...

    async def alert_delivered(self, alert_id: str, at: datetime) -> None:
        """Never deliver it again."""
        ...

    async def alert_failed(self, alert_id: str, next_at: datetime) -> None:
        """Count a try and wait until `next_at`."""
        ...


def _utc_now() -> datetime:
    return datetime.now(UTC)


class AlertDelivery:
    """The loop between outbox and sinks; `run` it in one task.

    The first try is immediate, then after 0.5, 1, 2, 4 … 60 seconds, for as long as it takes. A
    sink that has an alert does not get it again in this process because another one failed.
    """

    def __init__(
        self,
        outbox: AlertOutbox,
        sinks: Sequence[AlertSink],
        metrics: Metrics,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._outbox = outbox
        self._sinks = tuple(sinks)
        self._metrics = metrics
        self._clock = clock
        self._wake = asyncio.Event()
        self._unstored: dict[str, Alert] = {}
        self._in_flight: set[str] = set()
        self._reached: dict[str, set[int]] = {}
        self._tries: dict[str, int] = {}
        self._next_at: dict[str, float] = {}

    async def raise_alert(self, alert: Alert) -> None:
        """Store the alert and return; delivery follows at once.

        When the ledger cannot be written, the alert waits in memory (at most 1,000 of them) and is
        delivered all the same.
        """
        told = {"alert_id": alert.id, "kind": alert.kind, "severity": alert.severity}
        log.warning("alert: %s", alert.message, extra=told | {"step_id": alert.step_id})
        try:
            await self._outbox.enqueue_alert(alert)
        except StoreError:
            log.exception("alert not stored, kept in memory", extra=told)
            if len(self._unstored) < MAX_UNSTORED:
                self._unstored[alert.id] = alert
        self._wake.set()

    async def run(self) -> NoReturn:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                waiting, idle_s = await self._waiting()
                now = asyncio.get_running_loop().time()
                for alert, tries in waiting:
                    if self._next_at.get(alert.id, now) <= now:
                        self._in_flight.add(alert.id)
                        tasks.create_task(self._try(alert, tries))
                later = (self._next_at.get(alert.id, now) - now for alert, _ in waiting)
                pause_s = min((wait_s for wait_s in later if wait_s > 0), default=idle_s)
                # Not wait_for: on Python 3.11 it can lose a cancellation that comes with a wake.
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._wake.wait()

    async def _waiting(self) -> tuple[list[tuple[Alert, int]], float]:
        """Return what is undelivered and not being tried right now, with the tries so far.

        And how many seconds may pass before the next look when nothing else asks for one.
        """
        idle_s = IDLE_S
        # A try that ends during the query would look undelivered in its answer.
        busy = frozenset(self._in_flight)
        if not await self._store_unstored():
            idle_s = UNREADABLE_S
        try:
            stored = await self._outbox.due_alerts(self._clock() + _EVERY, AT_ONCE)
        except StoreError:
            log.exception("outbox not readable; alerts in memory are still delivered")
            stored, idle_s = (), UNREADABLE_S
        found = {alert.id: (alert, tries) for alert, tries in stored}
        found |= {alert.id: (alert, 0) for alert in self._unstored.values()}
        self._metrics.alerts_pending(len(found))
        waiting = [alert for alert_id, alert in found.items() if alert_id not in busy]
        return waiting, idle_s

    async def _store_unstored(self) -> bool:
        """Store what waits in memory; return whether nothing waits there any more.

        The first that cannot be stored goes to the end: it holds up no other.
        """
        for alert in tuple(self._unstored.values()):
            try:
                await self._outbox.enqueue_alert(alert)
            except StoreError:
                log.exception("alert still not stored", extra={"alert_id": alert.id})
                if self._unstored.pop(alert.id, None) is not None:
                    self._unstored[alert.id] = alert
                return False
            self._unstored.pop(alert.id, None)
        return True

    async def _try(self, alert: Alert, tries: int) -> None:
        try:
            if await self._reaches_all(alert):
                await self._delivered(alert)
            else:
                await self._failed(alert, max(tries, self._tries.get(alert.id, 0)))
        finally:
            self._in_flight.discard(alert.id)
            self._wake.set()

    async def _reaches_all(self, alert: Alert) -> bool:
        """Try every sink that does not have it yet, all at once: a slow one delays no other."""
        reached = self._reached.setdefault(alert.id, set())
        open_sinks = [place for place in range(len(self._sinks)) if place not in reached]
        results = await asyncio.gather(
            *(self._sinks[place].deliver(alert) for place in open_sinks), return_exceptions=True
        )
        for place, result in zip(open_sinks, results, strict=True):
            self._metrics.alert_tried(delivered=result is None)
            if result is None:
                reached.add(place)
            else:
                # The name only: an exception's text may hold the sink's URL, which is a secret.
                told = {"alert_id": alert.id, "sink": self._sinks[place].name}
                log.warning("alert not delivered: %s", type(result).__name__, extra=told)
        return len(reached) == len(self._sinks)

    async def _delivered(self, alert: Alert) -> None:
        self._unstored.pop(alert.id, None)
        try:
            await self._outbox.alert_delivered(alert.id, self._clock())
        except StoreError:
            # Tried again, and not sent again: the sinks it has reached are remembered.
            log.exception("delivery not stored", extra={"alert_id": alert.id})
            self._later(alert.id, 0)
            return
        for remembered in (self._reached, self._tries, self._next_at):
            remembered.pop(alert.id, None)

    async def _failed(self, alert: Alert, tries: int) -> None:
        pause_s = self._later(alert.id, tries)
        try:
            await self._outbox.alert_failed(alert.id, self._clock() + timedelta(seconds=pause_s))
        except StoreError:
            log.exception("try not stored", extra={"alert_id": alert.id})

    def _later(self, alert_id: str, tries: int) -> float:
        """Remember when to try again; return the pause in seconds."""
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(tries, 20), LONGEST_PAUSE_S)
        self._tries[alert_id] = tries + 1
        self._next_at[alert_id] = asyncio.get_running_loop().time() + pause_s
        return pause_s
