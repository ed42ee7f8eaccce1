import asyncio
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import PolicyUnavailable, StoreUnavailable
from proxy.pdp.base import QueryAnswer, StagedBundle
from proxy.pdp.decision import DecisionPoint
from proxy.pipeline.health import Health
from proxy.stores.sqlite.store import SqliteStore
from tests.harness.clock import fresh_lease


class Engine:
    """An engine that answers what a test says, after as long as it says."""

    def __init__(self, result: Any = True, after_s: float = 0) -> None:
        self.result = result
        self.after_s = after_s
        self.asked = 0

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        self.asked += 1
        await asyncio.sleep(self.after_s)
        if isinstance(self.result, Exception):
            raise self.result
        return QueryAnswer(self.result, "sha256:1")


class Disk(SqliteStore):
    """A ledger on a disk that may be full."""

    is_full = False

    async def ping(self) -> None:
        if self.is_full:
            raise StoreUnavailable("full")


def health(tmp_path: Path, engine: Any, **more: float) -> tuple[Health, Disk]:
    policy = DecisionPoint(engine, StagedBundle(tmp_path, "sha256:1"), 1, frozenset())
    disk = Disk(tmp_path / "detent.db")
    return Health(disk, policy, fresh_lease(), **more), disk


async def test_a_ledger_that_writes_and_a_policy_that_answers_are_well(tmp_path: Path) -> None:
    """Whatever the policy says of nothing."""
    assert await health(tmp_path, Engine())[0]()


async def test_a_ledger_that_does_not_write_is_not_well(tmp_path: Path) -> None:
    """Nothing could be reserved."""
    well, disk = health(tmp_path, Engine())
    disk.is_full = True
    assert not await well()


@pytest.mark.parametrize("result", [None, PolicyUnavailable("gone")])
async def test_a_policy_without_an_answer_is_not_well(tmp_path: Path, result: Any) -> None:
    """Undefined and unreachable alike."""
    assert not await health(tmp_path, Engine(result))[0]()


async def test_what_hangs_is_not_well(tmp_path: Path) -> None:
    """The answer comes in time all the same."""
    assert not await health(tmp_path, Engine(after_s=60), timeout_s=0.05)[0]()


async def test_many_questions_are_one_look(tmp_path: Path) -> None:
    """At the same time, and shortly after one another."""
    engine = Engine(after_s=0.05)
    well, _ = health(tmp_path, engine, fresh_s=60)
    assert await asyncio.gather(*(well() for _ in range(20))) == [True] * 20
    assert await well()
    assert engine.asked == 1


async def test_it_is_looked_at_again(tmp_path: Path) -> None:
    """What has ended is found, and what is back as well."""
    engine = Engine()
    well, _ = health(tmp_path, engine, fresh_s=0)
    for result, expected in ((True, True), (None, False), (True, True)):
        engine.result = result
        assert await well() is expected
