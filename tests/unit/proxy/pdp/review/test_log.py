"""The decision log: written beside the calls, never in their way."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import PolicyUnavailable
from proxy.model.decision import Decision, Reason, Verdict
from proxy.observability.metrics import Metrics
from proxy.pdp.base import MASK_PATH, QueryAnswer, StagedBundle, nothing
from proxy.pdp.review import log as subject
from proxy.pdp.review.log import DecisionLog
from proxy.pdp.review.log_files import LogFiles, read_log
from proxy.pdp.review.masking import Seers
from proxy.pdp.review.record import DecisionRecord

DECISION = Decision("dec_1", Verdict.DENY, (Reason("default-deny", "No."),), "sha256:1")
BODY = json.dumps(
    {"input": {"subject": {"tenant": "acme"}, "context": {"arguments": {"a": "secret"}}}}
).encode()
SEERS = Seers(lambda text: text, lambda _: (), lambda arguments, _: arguments)


class Engine:
    """Answers what to mask; `answer` is a value, or what is raised."""

    def __init__(self) -> None:
        self.answer: Any = ["/context/arguments/a"]
        self.asked: list[str] = []

    async def start(self, bundle: StagedBundle) -> None: ...

    async def replace(
        self, bundle: StagedBundle, swapped: Callable[[], None] = nothing
    ) -> None: ...

    async def stop(self) -> None: ...

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        self.asked.append(path)
        if isinstance(self.answer, Exception):
            raise self.answer
        return QueryAnswer(self.answer, "rev")


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


@pytest.fixture
async def made(
    tmp_path: Path, engine: Engine, metrics: Metrics
) -> AsyncIterator[tuple[DecisionLog, Callable[[], Any]]]:
    """A log, and what ends it and returns the records."""
    log = DecisionLog(LogFiles(tmp_path / "log", 100_000, 9), engine, SEERS, metrics)
    writing = log.start()

    async def ended() -> list[DecisionRecord | None]:
        await log.stop(writing)
        return list(read_log(tmp_path / "log")) if (tmp_path / "log").exists() else []

    yield log, ended
    await log.stop(writing)


def counted(metrics: Metrics) -> dict[str, float]:
    """Return how many records of each kind there are."""
    lines = metrics.render().decode().splitlines()
    found = (line for line in lines if line.startswith("detent_decision_log_total"))
    numbers = {line.split('"')[1]: float(line.split()[-1]) for line in found}
    return {name: number for name, number in numbers.items() if number}


async def test_a_decision_is_written_with_stand_ins(
    made: Any, engine: Engine, metrics: Metrics
) -> None:
    """The policy is asked what to mask; what waits is written before the end."""
    log, ended = made
    log.note(BODY, b"", DECISION)
    (record,) = await ended()
    assert (record.decision_id, record.tenant, record.revision) == ("dec_1", "acme", "sha256:1")
    assert record.input["context"]["arguments"]["a"].startswith("masked-")
    assert record.masked == ("/context/arguments/a",)
    assert record.replayable
    assert engine.asked == [MASK_PATH]
    assert counted(metrics) == {"written": 1}


@pytest.mark.parametrize("answer", [PolicyUnavailable("down"), None, {"not": "a list"}, ["x"]])
async def test_without_masks_the_arguments_are_left_out(
    made: Any, engine: Engine, metrics: Metrics, answer: Any
) -> None:
    """And the record says that it cannot be replayed."""
    engine.answer = answer
    log, ended = made
    log.note(BODY, b"", DECISION)
    (record,) = await ended()
    assert "arguments" not in record.input["context"]
    assert not record.replayable
    assert counted(metrics) == {"withheld": 1}


async def test_many_decisions_are_written_in_order(made: Any, metrics: Metrics) -> None:
    """In several batches, those that come while others are written too."""
    log, ended = made
    for _ in range(100):
        log.note(BODY, b"", DECISION)
    await asyncio.sleep(0.05)
    for _ in range(100):
        log.note(BODY, b"", DECISION)
    assert len(await ended()) == 200
    assert counted(metrics) == {"written": 200}


@pytest.mark.parametrize(("name", "value"), [("MAX_WAITING", 2), ("MAX_WAITING_BYTES", 250)])
async def test_a_full_queue_drops_and_tells(
    made: Any,
    metrics: Metrics,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: int,
) -> None:
    """Once, however many are dropped; by number or by size."""
    monkeypatch.setattr(subject, name, value)
    log, ended = made
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            log.note(BODY, b"", DECISION)
    assert len(await ended()) == 2
    assert counted(metrics) == {"written": 2, "dropped": 3}
    assert len(caplog.records) == 1


async def test_a_disk_that_is_full_is_told(
    tmp_path: Path, engine: Engine, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing raises; the next decisions are tried again."""
    (tmp_path / "log").write_text("no directory")
    log = DecisionLog(LogFiles(tmp_path / "log", 100_000, 9), engine, SEERS, metrics)
    writing = log.start()
    log.note(BODY, b"", DECISION)
    await log.stop(writing)
    assert counted(metrics) == {"failed": 1}
    assert "cannot be logged" in caplog.text


async def test_what_is_no_json_is_counted(made: Any, metrics: Metrics) -> None:
    """The next one is written."""
    log, ended = made
    log.note(b"{", b"", DECISION)
    log.note(BODY, b"", DECISION)
    assert len(await ended()) == 1
    assert counted(metrics) == {"failed": 1, "written": 1}


async def test_a_schema_nobody_can_read_ends_nothing(made: Any, metrics: Metrics) -> None:
    """Its record has no arguments, and the next one is written."""
    log, ended = made

    def lost(*_: bytes) -> bytes:
        raise AttributeError

    log._seers = replace(SEERS, without_secrets=lost)
    log.note(BODY, b"{}", DECISION)
    await asyncio.sleep(0.05)
    log.note(BODY, b"", DECISION)
    first, second = await ended()
    assert (first.replayable, second.replayable) == (False, True)
    assert counted(metrics) == {"withheld": 1, "written": 1}


async def test_whatever_fails_ends_no_other_record(
    made: Any, metrics: Metrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told and counted; the file is closed at the end."""
    log, ended = made

    def failing(*_: Any) -> bytes:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(DecisionRecord, "to_line", failing)
        log.note(BODY, b"", DECISION)
        await asyncio.sleep(0.05)
    log.note(BODY, b"", DECISION)
    assert len(await ended()) == 1
    assert counted(metrics) == {"failed": 1, "written": 1}
    assert "RuntimeError" in caplog.text


async def test_equal_values_of_two_calls_have_other_stand_ins(made: Any) -> None:
    """An agent could try passwords otherwise, with somebody who reads the log."""
    log, ended = made
    for name in ("dec_1", "dec_2"):
        log.note(BODY, b"", replace(DECISION, id=name))
    first, second = (record.input["context"]["arguments"]["a"] for record in await ended())
    assert first != second


async def test_an_engine_that_hangs_does_not_hold_the_end(
    made: Any, engine: Engine, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is counted as dropped."""
    monkeypatch.setattr(subject, "STOP_DEADLINE_S", 0.05)
    monkeypatch.setattr(subject, "BATCH", 1)

    async def never(*_: Any) -> QueryAnswer:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(engine, "query", never)
    log, ended = made
    for _ in range(3):
        log.note(BODY, b"", DECISION)
    assert await ended() == []
    assert counted(metrics) == {"dropped": 2}
