"""Calls that wait for their client between two rounds: a server with a session asked it something.

They are held in memory, few and not for long; whoever comes back in time goes on with them.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.ingress.mcp_conversation import RoundsEnd
from proxy.model.call import ToolCall
from proxy.model.step import Answer
from proxy.model.token import new_id

Owner = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ParkingLimits:
    """How many calls may wait, and for how many seconds."""

    per_principal: int = 16
    total: int = 256
    wait_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Held:
    """A call under way, and its client's end."""

    owner: Owner
    call: ToolCall
    task: asyncio.Task[Answer]
    end: RoundsEnd


class ParkedCalls:
    """The waiting calls of this process by ids that only their clients carry."""

    def __init__(self, limits: ParkingLimits | None = None) -> None:
        self._limits = limits or ParkingLimits()
        self._parked: dict[str, tuple[Held, asyncio.TimerHandle]] = {}

    def park(self, held: Held) -> str | None:
        """Keep a call until it is taken, or cancel it in time; None when there is no room."""
        own = sum(1 for other in self._held() if other.owner == held.owner)
        if own >= self._limits.per_principal or len(self._parked) >= self._limits.total:
            return None
        parked_id = new_id("prk")
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._limits.wait_s, self._expire, parked_id)
        self._parked[parked_id] = (held, timer)
        return parked_id

    def take(self, parked_id: str) -> Held | None:
        """Return the call, once."""
        held, timer = self._parked.pop(parked_id, (None, None))
        if timer is not None:
            timer.cancel()
        return held

    def _held(self) -> Iterator[Held]:
        return (held for held, _ in self._parked.values())

    def _expire(self, parked_id: str) -> None:
        held, _ = self._parked.pop(parked_id)
        held.task.cancel()
