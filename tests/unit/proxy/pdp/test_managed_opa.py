"""The supervision of OPA: what restarts it, what replaces it, what a probe refuses."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.pdp.base import DECISION_PATH, StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.pdp.managed_opa import ManagedOpa, Watch
from proxy.pdp.opa_process import OpaProcess, Query

QUICK = Watch(interval_s=0.05, deadline_s=0.2, backoff_s=0.02, max_backoff_s=0.1)
BODY = b'{"input":{}}'


def bundle(directory: Path, result: str, rest: str = "") -> StagedBundle:
    """Write a bundle that decides one thing; that is its revision, too."""
    place = directory / result
    place.mkdir()
    (place / "main.rego").write_text(f'package detent.main\n\ndecision := "{result}"\n{rest}')
    manifest = {"revision": result, "roots": ["detent"], "rego_version": 1}
    (place / ".manifest").write_text(json.dumps(manifest))
    return StagedBundle(place, result)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[ManagedOpa]:
    """Give an engine that serves `one`."""
    engine = ManagedOpa(find_opa().path, watch=QUICK)
    await engine.start(bundle(tmp_path, "one"))
    yield engine
    await engine.stop()


def running(engine: ManagedOpa) -> OpaProcess:
    """Return the OPA behind an engine."""
    assert engine._opa is not None
    return engine._opa


async def another(engine: ManagedOpa, than: OpaProcess) -> OpaProcess:
    """Wait until another OPA serves."""
    async with asyncio.timeout(10):
        while engine._opa is None or engine._opa is than:
            await asyncio.sleep(0.01)
    return running(engine)


async def result(engine: ManagedOpa) -> object:
    """Ask and return the result."""
    return (await engine.query(DECISION_PATH, BODY, 2)).result


async def test_a_dead_opa_is_replaced_at_once(engine: ManagedOpa) -> None:
    """Its end is noticed without waiting for the next look."""
    first = running(engine)
    os.kill(first.child.pid, signal.SIGKILL)
    second = await another(engine, first)
    assert await result(engine) == "one"
    assert not first.home.exists()
    assert second.home != first.home


async def test_a_frozen_opa_is_killed_and_replaced(engine: ManagedOpa) -> None:
    """Two questions without an answer, and it is gone."""
    first = running(engine)
    os.kill(first.child.pid, signal.SIGSTOP)
    await another(engine, first)
    assert not Path(f"/proc/{first.child.pid}").exists()
    assert await result(engine) == "one"


async def test_one_slow_look_is_not_an_end(
    engine: ManagedOpa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy OPA is not killed for one late answer."""
    first, looks = running(engine), iter([False, True, False, True])

    async def is_healthy(opa: OpaProcess, deadline_s: float) -> bool:
        return next(looks, True)

    monkeypatch.setattr(OpaProcess, "is_healthy", is_healthy)
    await asyncio.sleep(0.7)
    assert running(engine) is first
    assert next(looks, None) is None


async def bring_down(engine: ManagedOpa) -> Path:
    """Leave an engine without any OPA; return the command that would bring one back."""
    command, engine._command = engine._command, Path("/nonexistent/opa")
    os.kill(running(engine).child.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        while engine._opa is not None:
            await asyncio.sleep(0.01)
    return command


async def test_while_there_is_none_every_query_fails_at_once(engine: ManagedOpa) -> None:
    """Nothing waits for a restart."""
    await bring_down(engine)
    async with asyncio.timeout(0.5):
        with pytest.raises(PolicyUnavailable, match="OPA is not running"):
            await engine.query(DECISION_PATH, BODY, 5)


async def test_restarts_go_on_until_one_succeeds(
    engine: ManagedOpa, caplog: pytest.LogCaptureFixture
) -> None:
    """Failed starts are logged and tried again."""
    real, engine._command = engine._command, Path("/nonexistent/opa")
    first = running(engine)
    os.kill(first.child.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        while caplog.text.count("could not be started again") < 3:
            await asyncio.sleep(0.01)
    engine._command = real
    await another(engine, first)
    assert await result(engine) == "one"
    assert "OPA has ended" in caplog.text
    assert "OPA is back" in caplog.text


async def test_an_opa_that_dies_again_and_again_is_started_ever_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause doubles up to its limit, and starts anew after a stable while."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    engine = ManagedOpa(Path("/nonexistent"), watch=Watch(backoff_s=1, max_backoff_s=5))
    starts = iter(range(5))

    async def start_again() -> None:
        if next(starts, None) is None:
            raise asyncio.CancelledError

    monkeypatch.setattr(engine, "_start_again", start_again)
    monkeypatch.setattr("proxy.pdp.managed_opa.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await engine._keep_running()
    assert pauses == [0, 1, 2, 4, 5, 5]


async def test_after_a_stable_while_the_restart_does_not_wait(
    engine: ManagedOpa, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lived long enough is not held to be crashing."""
    engine._watch = Watch(interval_s=0.05, backoff_s=30, max_backoff_s=30, stable_s=0)
    for _ in range(3):
        dead = running(engine)
        os.kill(dead.child.pid, signal.SIGKILL)
        await another(engine, dead)
    assert await result(engine) == "one"


async def test_replace_answers_every_query_by_one_or_the_other(
    engine: ManagedOpa, tmp_path: Path
) -> None:
    """No query fails while bundles are swapped, and none mixes result and revision."""
    answers: list[object] = []

    async def ask() -> None:
        while len(answers) < 2000 and answers[-10:].count("two") < 10:
            answer = await engine.query(DECISION_PATH, BODY, 5)
            assert answer.result == answer.revision
            answers.append(answer.result)

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    await engine.replace(bundle(tmp_path, "two"))
    await asyncio.gather(*asking)
    assert set(answers) == {"one", "two"}


async def test_replace_ends_the_first_opa(engine: ManagedOpa, tmp_path: Path) -> None:
    """Its process and its place are gone; a crash afterwards restarts the new bundle."""
    first = running(engine)
    await engine.replace(bundle(tmp_path, "two"))
    assert not Path(f"/proc/{first.child.pid}").exists()
    second = running(engine)
    os.kill(second.child.pid, signal.SIGKILL)
    await another(engine, second)
    assert await result(engine) == "two"


async def test_replace_helps_an_engine_that_cannot_restart(
    engine: ManagedOpa, tmp_path: Path
) -> None:
    """A new bundle starts an OPA where there is none."""
    engine._command = await bring_down(engine)
    await engine.replace(bundle(tmp_path, "two"))
    assert await result(engine) == "two"


async def test_a_replaced_opa_is_not_restarted(engine: ManagedOpa, tmp_path: Path) -> None:
    """The watch that saw the first one end does not touch the second."""
    first = running(engine)
    await engine.replace(bundle(tmp_path, "two"))
    second = running(engine)
    await engine._drop(first)
    await engine._start_again()
    assert running(engine) is second


async def test_a_broken_bundle_keeps_the_first_opa(engine: ManagedOpa, tmp_path: Path) -> None:
    """The caller hears why."""
    first = running(engine)
    with pytest.raises(PolicyInvalid, match="rego_parse_error"):
        await engine.replace(bundle(tmp_path, "two", "broken("))
    assert running(engine) is first
    assert await result(engine) == "one"


async def test_a_probe_sees_the_new_bundle_and_can_refuse_it(tmp_path: Path) -> None:
    """It asks the OPA that is to take over, before that decides anything."""
    seen = []

    async def probe(staged: StagedBundle, query: Query) -> None:
        answer = (await query(DECISION_PATH, BODY, 5)).result
        seen.append((staged.revision, answer))
        if answer == "bad":
            raise PolicyInvalid("golden suite: 1 case failed")

    engine = ManagedOpa(find_opa().path, probe, QUICK)
    await engine.start(bundle(tmp_path, "good"))
    with pytest.raises(PolicyInvalid, match="golden suite"):
        await engine.replace(bundle(tmp_path, "bad"))
    assert await result(engine) == "good"
    assert seen == [("good", "good"), ("bad", "bad")]
    await engine.stop()


async def test_stop_during_a_restart_leaves_nothing(engine: ManagedOpa) -> None:
    """Also when OPA has just died."""
    first = running(engine)
    os.kill(first.child.pid, signal.SIGKILL)
    await asyncio.sleep(0.02)
    await engine.stop()
    assert engine._opa is None
    assert not first.home.exists()


async def test_a_start_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """Stop is safe on an engine that never served."""
    liar = tmp_path / "liar"
    liar.write_text("#!/bin/sh\necho no >&2; exit 1\n")
    liar.chmod(stat.S_IRWXU)
    engine = ManagedOpa(liar)
    with pytest.raises(PolicyInvalid, match="OPA refuses the bundle: no"):
        await engine.start(bundle(tmp_path, "one"))
    await engine.stop()
    with pytest.raises(PolicyUnavailable):
        await engine.query(DECISION_PATH, BODY, 1)
