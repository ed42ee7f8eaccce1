"""Sinks and outboxes that fail on purpose, and a delivery loop that always ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from proxy.errors import AlertNotDelivered, StoreUnavailable
from proxy.model.finding import Alert, Severity
from proxy.monitors.alerts.delivery import AlertDelivery
from proxy.stores.sqlite.store import SqliteStore

FAR = timedelta(days=1000)


class Sink:
    """A sink that fails as often as told, then takes everything."""

    name = "recorder"

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.tries: list[tuple[float, str]] = []
        self.taken: list[Alert] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def deliver(self, alert: Alert) -> None:
        self.tries.append((time.monotonic(), alert.id))
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise AlertNotDelivered("https://secret.example.test answered 500")
        self.taken.append(alert)

    @property
    def ids(self) -> list[str]:
        return [alert.id for alert in self.taken]


class BrokenOutbox:
    """An outbox on a disk that is full, until it is not."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.broken = True

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailable("the disk is full")

    async def enqueue_alert(self, alert: Alert) -> None:
        self._check()
        await self._store.enqueue_alert(alert)

    async def due_alerts(self, now: datetime, limit: int) -> tuple[tuple[Alert, int], ...]:
        self._check()
        return await self._store.due_alerts(now, limit)

    async def alert_delivered(self, alert_id: str, at: datetime) -> None:
        self._check()
        await self._store.alert_delivered(alert_id, at)

    async def alert_failed(self, alert_id: str, next_at: datetime) -> None:
        self._check()
        await self._store.alert_failed(alert_id, next_at)


def alert(alert_id: str = "alr_1") -> Alert:
    return Alert(alert_id, datetime.now(UTC), "canary-touched", Severity.CRITICAL, "A canary.")


@asynccontextmanager
async def running(subject: AlertDelivery) -> AsyncIterator[None]:
    task = asyncio.create_task(subject.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool | Awaitable[bool]], within_s: float = 5) -> None:
    async with asyncio.timeout(within_s):
        while True:
            met = condition()
            if met if isinstance(met, bool) else await met:
                return
            await asyncio.sleep(0.005)


def emptied(store: SqliteStore) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return not await store.due_alerts(datetime.now(UTC) + FAR, 10)

    return check
