"""The kill switch: halt in memory, fsync the halt file, commit, answer.

It needs neither the policy engine nor budgets, and works while the store is down: the halt holds
locally and is committed when the store is back.

Kills of others may be heard on another thread (`learn`). What is known is in force at once for
every check; calls and streams are cut on the event loop this was started on.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from proxy.errors import StoreError
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import Flight, InFlight
from proxy.killswitch.known import KnownLog
from proxy.killswitch.threshold import Threshold
from proxy.model.kill import KillAction, KillEntry, KillOrder, KillState, KillVerdict, Scope
from proxy.model.token import new_id
from proxy.stores.base import KillLog

log = logging.getLogger(__name__)

COMMIT_TIMEOUT_S = 2.0
RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class KillReport:
    """What a kill did here. Not committed, this process holds and keeps trying."""

    order_id: str
    scopes: tuple[Scope, ...]
    epoch: int | None
    committed_at: datetime | None
    in_flight: int

    @property
    def committed(self) -> bool:
        """Whether it is in the log."""
        return self.epoch is not None


class KillSwitch:
    """State of this process, folded from the log, plus the kills not committed yet."""

    def __init__(self, log_: KillLog, halt_file: HaltFile, flights: InFlight) -> None:
        self._log = log_
        self._halt_file = halt_file
        self._flights = flights
        self._known = KnownLog()
        self.threshold = Threshold()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: list[Callable[[], None]] = []
        self._pending: dict[str, KillOrder] = {}
        self._verdicts: dict[str, dict[str, KillVerdict]] = {}
        self._epochs: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writing = asyncio.Lock()
        self._on_disk: tuple[KillOrder, ...] = ()

    async def start(self) -> None:
        """Fold the log and honour the halt file. Raises StoreUnavailable."""
        self._loop = asyncio.get_running_loop()
        entries = await self._log.kill_log()
        self._known.add(entries, follow=True)
        committed = {entry.order.id for entry in entries}
        self._on_disk = self._halt_file.read()
        for order in self._on_disk:
            if order.id not in committed:
                self._pending[order.id] = order
                self._later(self._retry(order))
        await self._write_halt_file()

    async def stop(self) -> None:
        """Stop retrying; what is not committed stays in the halt file."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def synced(self) -> int:
        """The epoch up to which all of the log is known.

        Our own orders may be known beyond it, with those of others missing in between.
        """
        return self._known.now.synced

    def on_news(self, told: Callable[[], None]) -> None:
        """Call this, on the main loop, whenever `synced` has grown. It may not raise."""
        self._told.append(told)

    def since(self, epoch: int) -> tuple[KillEntry, ...]:
        """Return the entries after that epoch, up to `synced`."""
        return self._known.since(epoch)

    @property
    def state(self) -> KillState:
        """The committed state."""
        return self._known.now.state

    def pending(self) -> tuple[KillOrder, ...]:
        """Return the kills that hold locally and are not committed yet."""
        return tuple(self._pending.values())

    def covers(self, scopes: Iterable[Scope], since_epoch: int | None = None) -> bool:
        """Whether a kill covers any of these scopes, now or at any time since that epoch.

        A kill that was lifted again in between still covers: the call was decided before it.
        """
        state = self.state
        if not self._pending and not state.active and since_epoch in (None, state.epoch):
            return False
        wanted = frozenset(scopes)
        if any(not wanted.isdisjoint(order.scopes) for order in self._pending.values()):
            return True
        if state.covering(wanted) is not None:
            return True
        return since_epoch is not None and state.floor(wanted) > since_epoch

    async def kill(
        self, scopes: tuple[Scope, ...], actor: str, reason: str, order_id: str = ""
    ) -> KillReport:
        """Halt these scopes. Never raises: a store that fails leaves the halt local.

        Processes that are given the same `order_id` make one kill of it, with one epoch.
        """
        own_id, at = order_id or new_id("kil"), datetime.now(UTC)
        order = KillOrder(own_id, KillAction.KILL, scopes, actor, reason, at)
        flights = self._halt(order)
        await self._write_halt_file()
        entry = await self._commit(order)
        if entry is None:
            log.critical("kill not committed, halted locally", extra={"order_id": order.id})
            self._later(self._retry(order))
        return KillReport(
            order_id=order.id,
            scopes=scopes,
            epoch=entry.epoch if entry else None,
            committed_at=datetime.now(UTC) if entry else None,
            in_flight=len(flights),
        )

    async def lift(self, epoch: int, actor: str, reason: str) -> KillEntry:
        """Lift one active kill. Raises LookupError when there is none, StoreUnavailable."""
        killed = next((entry for entry in self.state.active if entry.epoch == epoch), None)
        if killed is None:
            raise LookupError(epoch)
        at = datetime.now(UTC)
        scopes = killed.order.scopes
        order = KillOrder(new_id("lft"), KillAction.LIFT, scopes, actor, reason, at, lifts=epoch)
        entry = await self._log.append_kill(order)
        self._known.add((entry,), follow=False)
        log.warning("kill lifted", extra={"epoch": entry.epoch, "lifts": epoch, "actor": actor})
        return entry

    def learn(self, entries: Iterable[KillEntry]) -> bool:
        """Obey the entries of the log that follow on `synced`; say if any was new. On any thread.

        When it returns, no call that has still to look can start under them. Those that have
        looked already stand on `threshold`.
        """
        synced = self.synced
        new = self._known.add(tuple(entries), follow=True)
        if (new or self.synced > synced) and self._loop is not None:
            if self._loop is asyncio.get_running_loop():
                self._heard(new)
            else:
                self._loop.call_soon_threadsafe(self._heard, new)
        return bool(new)

    def _heard(self, new: Iterable[KillEntry]) -> None:
        """Cut what they cover, and tell those who wait for news."""
        for entry in new:
            if entry.order.action is KillAction.KILL and entry.order.id not in self._epochs:
                self._obey(entry)
        for told in self._told:
            told()

    async def verdicts(self, epoch: int) -> dict[str, KillVerdict]:
        """Return what became of each call the kill met, by step id."""
        stored = await self._log.kill_verdicts(epoch)
        order_id = next((known for known, at in self._epochs.items() if at == epoch), "")
        return stored | self._verdicts.get(order_id, {})

    async def landed(self, flight: Flight, verdict: KillVerdict) -> None:
        """Record how a call that a kill met has ended."""
        flight.verdict = verdict
        for order_id in flight.killed_by:
            self._verdicts.setdefault(order_id, {})[flight.step_id] = verdict
            epoch = self._epochs.get(order_id)
            if epoch is not None:
                await self._store_verdicts(epoch, {flight.step_id: verdict})

    def _halt(self, order: KillOrder) -> tuple[Flight, ...]:
        """Halt in memory; no await in here, so nothing of the scope runs in between."""
        self._pending[order.id] = order
        flights = self._flights.cut(order.scopes, order.id)
        self._verdicts[order.id] = {flight.step_id: flight.in_doubt() for flight in flights}
        log.critical("killed", extra={"order_id": order.id, "actor": order.actor})
        return flights

    def _obey(self, entry: KillEntry) -> None:
        """Cut what a kill covers; for an order of this process that was done before its commit."""
        order = entry.order
        self._epochs[order.id] = entry.epoch
        if order.id in self._pending:
            return
        flights = self._flights.cut(order.scopes, order.id)
        self._verdicts[order.id] = {flight.step_id: flight.in_doubt() for flight in flights}
        log.critical("killed elsewhere", extra={"epoch": entry.epoch, "order_id": order.id})

    async def _commit(self, order: KillOrder) -> KillEntry | None:
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                entry = await self._log.append_kill(order)
        except (StoreError, TimeoutError):
            return None
        self._known.add((entry,), follow=False)
        self._pending.pop(order.id, None)
        self._epochs[order.id] = entry.epoch
        self._later(self._write_halt_file())
        self._later(self._store_verdicts(entry.epoch, dict(self._verdicts.get(order.id, {}))))
        return entry

    async def _retry(self, order: KillOrder) -> None:
        while await self._commit(order) is None:
            await self._pause()
        log.warning("kill committed after all", extra={"order_id": order.id})

    async def _pause(self) -> None:
        await asyncio.sleep(RETRY_S)

    async def _store_verdicts(self, epoch: int, verdicts: dict[str, KillVerdict]) -> None:
        try:
            for step_id, verdict in verdicts.items():
                await self._log.record_kill_verdict(epoch, step_id, verdict)
        except StoreError:
            log.exception("kill verdicts not stored", extra={"epoch": epoch})

    async def _write_halt_file(self) -> None:
        """Bring the file up to date; kills that come together share one write and its fsync."""
        async with self._writing:
            pending = self.pending()
            if pending == self._on_disk:
                return
            try:
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await asyncio.to_thread(self._halt_file.write, pending)
                self._on_disk = pending
            except OSError:
                log.critical("halt file not written; the halt holds in memory", exc_info=True)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
