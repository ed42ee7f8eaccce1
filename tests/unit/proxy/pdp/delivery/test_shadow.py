import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.model.decision import Decision, Grant, Obligation, Reason, Verdict
from proxy.pdp.base import QueryAnswer, StagedBundle, nothing
from proxy.pdp.delivery import shadow as module
from proxy.pdp.delivery.shadow import QUEUE, Compared, Shadow
from tests.harness.tiny_bundle import DECISION

FINE = Decision("dec_1", Verdict.ALLOW, (Reason("fine", "Fine."),), "sha256:live", risk=1)


class Engine:
    """Answers as told; `slow` until it is let go."""

    def __init__(self) -> None:
        self.answer: Any = DECISION
        self.let = asyncio.Event()
        self.let.set()
        self.refuses = False
        self.calls: list[str] = []

    async def start(self, bundle: StagedBundle) -> None:
        self.calls.append(f"start {bundle.revision}")

    async def replace(self, bundle: StagedBundle, swapped: Callable[[], None] = nothing) -> None:
        if self.refuses:
            raise PolicyInvalid("broken")
        self.calls.append(f"replace {bundle.revision}")
        swapped()

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        del path, body, deadline_s
        await self.let.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return QueryAnswer(self.answer, "sha256:shadow")

    async def stop(self) -> None:
        self.calls.append("stop")


class Counted:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.counts: Counter[Any] = Counter()

    def shadowed(self, compared: str) -> None:
        self.counts[compared] += 1

    def flipped(self, live: str, shadow: str) -> None:
        self.counts[live, shadow] += 1


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
async def shadow(engine: Engine, counted: Counted, tmp_path: Any) -> AsyncIterator[Shadow]:
    shadow = Shadow(engine, frozenset({"mask"}), counted)
    await shadow.start(StagedBundle(tmp_path, "sha256:shadow"))
    yield shadow
    await shadow.stop()
    assert engine.calls[-1] == "stop"


async def compared(shadow: Shadow, live: Decision) -> dict[str, int]:
    shadow.note(b"{}", b"", live)
    await shadow.idle()
    report = shadow.report()
    assert report is not None
    return {what: count for what, count in report.counts.items() if count}


MASK = [{"type": "mask", "path": "/a"}]
CHANGES: list[tuple[Any, Decision]] = [
    ({"reasons": [{"id": "other", "message": "Fine."}]}, FINE),
    ({"cost": {"risk": 2}}, FINE),
    ({"labels": ["x"]}, FINE),
    ({"obligations": MASK}, FINE),
    ({}, replace(FINE, grant=Grant("jwt"))),
    ({}, replace(FINE, obligations=(Obligation("mask", {"path": "/b"}),))),
]


async def test_the_same_answer_is_the_same(shadow: Shadow, counted: Counted) -> None:
    """Whatever sentence it is given in."""
    live = replace(FINE, reasons=(Reason("fine", "Another sentence."),))
    assert await compared(shadow, live) == {"same": 1}
    assert counted.counts == {Compared.SAME: 1}


@pytest.mark.parametrize(("answer", "live"), CHANGES)
async def test_what_else_changes_is_a_change(
    shadow: Shadow, engine: Engine, answer: Any, live: Decision
) -> None:
    """Reasons, cost, labels, obligations, grant."""
    engine.answer = {**DECISION, **answer}
    assert await compared(shadow, live) == {"change": 1}


async def test_another_verdict_is_a_flip(
    shadow: Shadow, engine: Engine, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted by both verdicts and told with their reasons."""
    engine.answer = {**DECISION, "verdict": "deny"}
    assert await compared(shadow, FINE) == {"flip": 1}
    assert counted.counts == {Compared.FLIP: 1, ("allow", "deny"): 1}
    assert "deny (fine) instead of allow (fine)" in caplog.text


@pytest.mark.parametrize("answer", [None, {}, {**DECISION, "obligations": [{"type": "new"}]}])
async def test_what_is_no_decision_is_a_deny_here_too(
    shadow: Shadow, engine: Engine, answer: Any
) -> None:
    """Undefined, malformed, an obligation that nobody knows."""
    engine.answer = answer
    assert await compared(shadow, FINE) == {"flip": 1}


async def test_no_answer_is_an_error(
    shadow: Shadow, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """And not told for each of many."""
    engine.answer = PolicyUnavailable("late")
    await compared(shadow, FINE)
    assert await compared(shadow, FINE) == {"error": 2}
    assert caplog.text.count("the candidate gives no decision") == 1


async def test_a_candidate_that_is_behind_is_asked_less(shadow: Shadow, engine: Engine) -> None:
    """Calls do not wait, and memory does not grow."""
    engine.let.clear()
    for _ in range(QUEUE + 10):
        shadow.note(b"{}", b"", FINE)
    report = shadow.report()
    assert report is not None
    assert report.counts["skipped"] == 10
    engine.let.set()
    assert (await compared(shadow, FINE))["same"] >= QUEUE - 1


async def test_large_questions_take_no_more_memory(
    shadow: Shadow, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their bytes are counted, and given back."""
    monkeypatch.setattr(module, "QUEUE_BYTES", 100)
    engine.let.clear()
    for _ in range(12):
        shadow.note(b"x" * 10, b"", FINE)
    engine.let.set()
    await shadow.idle()
    shadow.note(b"x" * 100, b"", FINE)
    await shadow.idle()
    report = shadow.report()
    assert report is not None
    assert report.counts["skipped"] == 2


async def test_a_new_candidate_begins_to_count_anew(
    shadow: Shadow, engine: Engine, tmp_path: Any
) -> None:
    """One that is refused leaves the one before."""
    await compared(shadow, FINE)
    engine.refuses = True
    with pytest.raises(PolicyInvalid):
        await shadow.start(StagedBundle(tmp_path, "sha256:broken"))
    engine.refuses = False
    report = shadow.report()
    assert report is not None
    assert (report.revision, report.counts["same"]) == ("sha256:shadow", 1)
    await shadow.start(StagedBundle(tmp_path, "sha256:next"))
    assert await compared(shadow, FINE) == {"same": 1}


async def test_without_a_candidate_nobody_is_asked(engine: Engine, counted: Counted) -> None:
    """Nor is there anything to report or to stop."""
    shadow = Shadow(engine, frozenset(), counted)
    shadow.note(b"{}", b"", FINE)
    assert shadow.report() is None
    await shadow.stop()
    assert engine.calls == []
