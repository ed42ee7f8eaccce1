import asyncio

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.kill import KillEntry, KillOrder, KillVerdict


class MemoryKillLog:
    """A kill log that can be made to fail or hang."""

    def __init__(self) -> None:
        self.entries: list[KillEntry] = []
        self.verdicts: dict[int, dict[str, KillVerdict]] = {}
        self.broken = False
        self.hanging = False

    async def append_kill(self, order: KillOrder) -> KillEntry:
        if self.hanging:
            await asyncio.Event().wait()
        self._check()
        known = next((entry for entry in self.entries if entry.order.id == order.id), None)
        if known is None:
            known = KillEntry(len(self.entries) + 1, order)
            self.entries.append(known)
        return known

    async def kill_log(self) -> tuple[KillEntry, ...]:
        return tuple(self.entries)

    async def record_kill_verdict(self, epoch: int, step_id: str, verdict: KillVerdict) -> None:
        self._check()
        self.verdicts.setdefault(epoch, {})[step_id] = verdict

    async def kill_verdicts(self, epoch: int) -> dict[str, KillVerdict]:
        return dict(self.verdicts.get(epoch, {}))

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailable("the disk is full")


@pytest.fixture
def kill_log() -> MemoryKillLog:
    return MemoryKillLog()
