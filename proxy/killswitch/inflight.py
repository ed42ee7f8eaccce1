"""Calls and streams in flight, so that a kill, or the end of a drain, can cut them.

A flight is cancelled the way asyncio.timeout does it: the task is cancelled, and whoever owns the
flight takes the cancellation back when it was such a cut (`absorb`). Everything runs on one event
loop: between the kill and the next step of a covered task nothing of it can run, so nothing is
sent.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from proxy.model.kill import KillVerdict, Scope


class Flight:
    """One call from admission to answer. `sent`: its first byte was handed over."""

    def __init__(self, step_id: str, scopes: Sequence[Scope], task: asyncio.Task[object]) -> None:
        self.step_id = step_id
        self.scopes = scopes
        self.sent = False
        self.verdict: KillVerdict | None = None
        self.killed_by: list[str] = []
        self.given_up = False
        self._task = task
        self._settling = False

    def kill(self, order_id: str) -> None:
        """Cut the call; one that is already being settled goes on to its end."""
        if not self._settling and not self._is_cut:
            self._task.cancel()
        self.killed_by.append(order_id)

    def give_up(self) -> None:
        """Cut the call because the process ends; one that is being settled goes on to its end."""
        if not self._settling and not self._is_cut:
            self._task.cancel()
            self.given_up = True

    def settling(self) -> None:
        """Say that the tool has answered or never will: from here on a kill only notes."""
        self._settling = True

    def absorb(self) -> bool:
        """Take back the cancellation if a cut, and nobody else, caused it."""
        if not self._is_cut:
            return False
        return self._task.uncancel() == 0

    @property
    def cause(self) -> str:
        """The reason id of a cut."""
        return "killed" if self.killed_by else "draining"

    def in_doubt(self) -> KillVerdict:
        """Return what can be said before the call has ended."""
        if self.verdict is not None:
            return self.verdict
        return KillVerdict.UNKNOWN if self.sent else KillVerdict.NEVER_DISPATCHED

    @property
    def _is_cut(self) -> bool:
        return self.given_up or bool(self.killed_by)


class InFlight:
    """Every call and stream of this process."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._streams: dict[asyncio.Event, frozenset[Scope]] = {}
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def track(self, step_id: str, scopes: Sequence[Scope]) -> Iterator[Flight]:
        """Register the current task's call until the block ends."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a call runs in a task")
        flight = Flight(step_id, scopes, task)
        self._flights[step_id] = flight
        self._none.clear()
        try:
            yield flight
        finally:
            del self._flights[step_id]
            if not self._flights:
                self._none.set()

    @contextmanager
    def stream(self, scopes: Iterable[Scope]) -> Iterator[asyncio.Event]:
        """Register a client's stream; the event is set when it has to close."""
        closing = asyncio.Event()
        self._streams[closing] = frozenset(scopes)
        try:
            yield closing
        finally:
            del self._streams[closing]

    def cut(self, scopes: Iterable[Scope], order_id: str) -> tuple[Flight, ...]:
        """Cut every call and stream under any of these scopes; return the calls."""
        wanted = frozenset(scopes)
        for closing, covered in self._streams.items():
            if not wanted.isdisjoint(covered):
                closing.set()
        flights = tuple(
            flight for flight in self._flights.values() if not wanted.isdisjoint(flight.scopes)
        )
        for flight in flights:
            flight.kill(order_id)
        return flights

    async def landed(self) -> None:
        """Return when no call is in flight."""
        await self._none.wait()

    def give_up(self) -> None:
        """Cut every call (shutdown)."""
        for flight in self._flights.values():
            flight.give_up()

    def close_streams(self) -> None:
        """Ask every stream to close (shutdown)."""
        for closing in self._streams:
            closing.set()

    def __len__(self) -> int:
        return len(self._flights)
