import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from proxy.errors import StoreUnavailable
from proxy.killswitch import revoker
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.revoker import Revoker
from proxy.killswitch.switch import KillSwitch
from proxy.model.kill import GLOBAL
from proxy.model.lease import Effectiveness, HolderState
from proxy.model.ledger import IntentState, StepRow
from proxy.model.recovery import Covered, Lent, OpenStep
from tests.harness.ledger import NOW, Call, after
from tests.unit.proxy.killswitch.conftest import MemoryKillLog

HOLDERS = {
    "me": HolderState.ACKED, "frozen": HolderState.EXPIRED, "other": HolderState.ACKED,
}  # fmt: skip


def open_step(step_id: str, lent: bool = True) -> OpenStep:
    """Return a step that its holder has left open."""
    intent = replace(Call(step_id).intent)
    row = StepRow(intent, 1, IntentState.SENDING, "", "dec", "git:abc", 5)
    lease = Lent(f"lease-{step_id}", "jwt", after(30), ended=False)
    return OpenStep(row, None, NOW, lent=lease if lent else None)


class Ledger:
    """Open steps under a kill."""

    def __init__(self) -> None:
        self.steps: list[OpenStep] = []
        self.asked: list[Covered] = []
        self.ended: list[str] = []
        self.fails = False
        self.hidden: set[str] = set()

    async def take_covered(self, covered: Covered) -> tuple[OpenStep, ...]:
        if self.fails:
            raise StoreUnavailable("gone")
        self.asked.append(covered)
        return tuple(step for step in self.steps if step.id not in self.hidden)

    async def has_covered(self, covered: Covered) -> bool:
        del covered
        return any(step.lent and step.id not in self.ended for step in self.steps)

    async def end_credential(self, step_id: str) -> None:
        self.ended.append(step_id)


class Bench:
    """A kill switch, and a revoker at whatever time a test says."""

    def __init__(self, log: MemoryKillLog, directory: Path) -> None:
        self.switch = KillSwitch(log, HaltFile(directory / "halt"), InFlight())
        self.ledger = Ledger()
        self.revoked: list[tuple[str, str]] = []
        self.confirms = True
        self.now = datetime.now(UTC)
        self.deadline = self.now + timedelta(seconds=2)
        parts = (self.switch, self._effects, self.ledger, self._revoke, "me")
        self.revoker = Revoker(*parts, clock=lambda: self.now)

    async def look(self, at_s: float) -> None:
        """Look once, so many seconds after the kill."""
        self.now = self.deadline + timedelta(seconds=at_s - 2)
        await self.revoker.look()

    async def _effects(self, epoch: int) -> Effectiveness:
        assert epoch == 1
        return Effectiveness(HOLDERS, self.deadline)

    async def _revoke(self, broker: str, lease_id: str) -> bool:
        self.revoked.append((broker, lease_id))
        return self.confirms


@pytest.fixture
async def bench(kill_log: MemoryKillLog, tmp_path: Path) -> Bench:
    bench = Bench(kill_log, tmp_path)
    await bench.switch.start()
    await bench.switch.kill((GLOBAL,), "oncall", "drill")
    return bench


async def test_nothing_is_done_before_the_deadline(bench: Bench) -> None:
    """The holder may still do it itself."""
    await bench.look(1.9)
    assert bench.ledger.asked == []


async def test_what_a_silent_holder_was_lent_is_revoked_once(bench: Bench) -> None:
    """Those that obey are spared; the ledger knows that the credential is dead."""
    bench.ledger.steps = [open_step("s1"), open_step("s2", lent=False)]
    await bench.look(2)
    await bench.look(3)
    (asked,) = bench.ledger.asked
    assert (asked.epoch, asked.scopes, asked.spared) == (1, (GLOBAL,), ("me", "other"))
    assert (asked.by, asked.at, asked.until) == (
        "me",
        bench.deadline,
        asked.at + timedelta(seconds=10),
    )
    assert (bench.revoked, bench.ledger.ended) == ([("jwt", "lease-s1")], ["s1"])


async def test_it_looks_until_none_is_left(bench: Bench) -> None:
    """What others have taken may come back, and one look does not take all."""
    first, second = open_step("s1"), open_step("s2")
    bench.ledger.steps, bench.ledger.hidden = [first, second], {"s2"}
    await bench.look(2)
    bench.ledger.steps, bench.ledger.hidden = [second], set()
    await bench.look(3)
    await bench.look(4)
    assert (bench.ledger.ended, len(bench.ledger.asked)) == (["s1", "s2"], 2)


async def test_a_broker_that_does_not_confirm_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a while."""
    monkeypatch.setattr(revoker, "MAX_TRIES", 3)
    bench.ledger.steps, bench.confirms = [open_step("s1")], False
    for at_s in range(2, 9):
        await bench.look(at_s)
    assert len(bench.revoked) == 3
    assert bench.ledger.ended == []


async def test_a_lifted_kill_is_forgotten(bench: Bench) -> None:
    """Nothing is revoked for it any more."""
    await bench.switch.lift(1, "oncall", "over")
    await bench.look(2)
    assert bench.ledger.asked == []


async def test_it_looks_until_it_is_cancelled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A ledger that fails is asked again."""
    monkeypatch.setattr(revoker, "LOOK_S", 0.001)
    bench.now, bench.ledger.fails = bench.deadline, True
    task = asyncio.create_task(bench.revoker.run())
    while "cannot be revoked now" not in caplog.text:
        await asyncio.sleep(0.001)
    bench.ledger.fails = False
    while not bench.ledger.asked:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_the_time_is_that_of_the_wall(kill_log: MemoryKillLog, tmp_path: Path) -> None:
    """Unless a test says otherwise."""
    bench = Bench(kill_log, tmp_path)
    await bench.switch.start()
    await bench.switch.kill((GLOBAL,), "oncall", "drill")
    bench.deadline -= timedelta(seconds=10)
    parts = (bench.switch, bench._effects, bench.ledger, bench._revoke, "me")
    await Revoker(*parts).look()
    assert len(bench.ledger.asked) == 1
