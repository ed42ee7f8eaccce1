"""The engine as the decision point sees it; tests/contract holds what all engines share."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.pdp.base import DECISION_PATH, MASK_PATH, StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.pdp.wasm import engine as wasm
from proxy.pdp.wasm.engine import Query, WasmOpa
from proxy.pdp.wasm.machine import Machine, Stopped
from proxy.pdp.wasm.worker import Worker
from tests.harness.endless import ENDLESS

Write = Callable[..., StagedBundle]
PATIENCE_S = 20.0
RULES = (
    """
decision := input.a if input.a

decision := "at last" if {
	input.slow
	endless
}
"""
    + ENDLESS
)
SLOW = b'{"input":{"slow":true}}'


@pytest.fixture
async def engine(bundle: Write) -> AsyncIterator[WasmOpa]:
    """An engine with one worker that serves the rules."""
    engine = WasmOpa(find_opa().path, workers=1)
    await engine.start(bundle(RULES))
    yield engine
    await engine.stop()


async def ask(engine: WasmOpa, body: bytes = b'{"input":{"a":1}}') -> object:
    """Ask and return the result."""
    return (await engine.query(DECISION_PATH, body, PATIENCE_S)).result


async def test_an_endless_rule_is_cut_at_the_deadline(engine: WasmOpa) -> None:
    """The worker is free again at once, though it is the only one."""
    started = asyncio.get_running_loop().time()
    with pytest.raises(PolicyUnavailable, match=r"within 0\.2 s"):
        await engine.query(DECISION_PATH, SLOW, 0.2)
    assert await ask(engine) == 1
    assert asyncio.get_running_loop().time() - started < PATIENCE_S / 2


async def test_who_waits_for_a_worker_has_a_deadline_too(engine: WasmOpa) -> None:
    """A queue is no excuse."""
    slow = asyncio.create_task(engine.query(DECISION_PATH, SLOW, 0.6))
    await asyncio.sleep(0.1)
    with pytest.raises(PolicyUnavailable, match=r"within 0\.1 s"):
        await engine.query(DECISION_PATH, b'{"input":{"a":1}}', 0.1)
    with pytest.raises(PolicyUnavailable):
        await slow


async def test_a_cancelled_question_is_cut_at_its_deadline(engine: WasmOpa) -> None:
    """Nobody waits for it, and its worker comes back all the same."""
    slow = asyncio.create_task(engine.query(DECISION_PATH, SLOW, 0.3))
    await asyncio.sleep(0.1)
    slow.cancel()
    assert await ask(engine) == 1


async def test_a_worker_that_is_made_whole_keeps_nobody_waiting(
    bundle: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next question goes to another one."""
    engine = WasmOpa(find_opa().path, workers=2)
    await engine.start(bundle(RULES))
    go_on, renew = threading.Event(), Machine.renew
    monkeypatch.setattr(Machine, "renew", lambda machine: (go_on.wait(), renew(machine))[1])
    with pytest.raises(PolicyUnavailable):
        await engine.query(DECISION_PATH, SLOW, 0.1)
    try:
        assert [await ask(engine) for _ in range(3)] == [1, 1, 1]
    finally:
        go_on.set()
        await engine.stop()


async def test_who_waits_for_a_worker_at_the_end_is_told(bundle: Write) -> None:
    """All of them, and by an error of the decision point."""
    engine = WasmOpa(find_opa().path, workers=1)
    await engine.start(bundle(RULES))
    queries = [engine.query(DECISION_PATH, SLOW, PATIENCE_S) for _ in range(3)]
    waiting = [asyncio.create_task(query) for query in queries]
    await asyncio.sleep(0.1)
    await engine.stop()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in told] == [PolicyUnavailable] * 3


async def test_a_number_is_one_however_it_is_written(bundle: Write) -> None:
    """With an exponent or without, in the input, in the data, and as a result of ours."""
    engine = WasmOpa(find_opa().path, workers=1)
    numbers = "{input.x, data.known, 0.000000026, input.tiny + input.tiny}"
    await engine.start(bundle(f"decision := count({numbers})", data=10**22))
    try:
        assert await ask(engine, b'{"input":{"x":1e22,"tiny":1.3e-8}}') == 2
    finally:
        await engine.stop()


async def test_a_path_without_a_rule_is_undefined(engine: WasmOpa) -> None:
    """As OPA answers it."""
    assert (await engine.query(MASK_PATH, b'{"input":{}}', PATIENCE_S)).result is None


async def test_a_body_that_is_none_is_no_answer(engine: WasmOpa) -> None:
    """Only `{"input": …}` is evaluated."""
    with pytest.raises(PolicyUnavailable, match="not JSON"):
        await ask(engine, b"nothing")


@pytest.mark.parametrize(
    ("results", "told"),
    [
        (b"[1]", "no result"),
        (b'[{"result":1},{"result":2}]', "no result"),
        (b'{"result":1}', "no result"),
        (b'[{"result":1,"more":2}]', "no result"),
        (b"[", "not JSON"),
        (b'[{"result":1,"result":2}]', "not JSON"),
    ],
)
def test_results_of_another_shape_are_no_answer(results: bytes, told: str) -> None:
    """One result, or none."""
    with pytest.raises(PolicyUnavailable, match=told):
        wasm._result(results)


async def test_a_probe_sees_the_new_bundle_and_can_refuse_it(bundle: Write) -> None:
    """What was served stays; the threads of what was refused end."""
    seen: list[object] = []

    async def probe(staged: StagedBundle, query: Query) -> None:
        seen.append((await query(DECISION_PATH, b'{"input":{}}', PATIENCE_S)).result)
        if staged.revision == "bad":
            raise PolicyInvalid("golden suite")

    engine = WasmOpa(find_opa().path, probe, workers=1)
    await engine.start(bundle('decision := "good"', "good"))
    with pytest.raises(PolicyInvalid, match="golden suite"):
        await engine.replace(bundle('decision := "bad"', "bad"))
    assert await ask(engine) == "good"
    assert seen == ["good", "bad"]
    await engine.stop()


async def test_replace_answers_every_question_by_one_or_the_other(
    engine: WasmOpa, bundle: Write
) -> None:
    """No question fails while bundles are swapped, and none mixes result and revision."""
    answers: list[tuple[object, str]] = []

    async def keep_asking() -> None:
        while ("two", "two") not in answers[-10:]:
            answer = await engine.query(DECISION_PATH, b'{"input":{"a":"one"}}', PATIENCE_S)
            answers.append((answer.result, answer.revision))

    asking = [asyncio.create_task(keep_asking()) for _ in range(3)]
    await engine.replace(bundle('decision := "two"', "two"))
    await asyncio.gather(*asking)
    assert set(answers) == {("one", "one"), ("two", "two")}


async def test_after_stop_nothing_is_left(engine: WasmOpa) -> None:
    """Neither threads nor answers; also when an evaluation is under way, and twice."""
    slow = asyncio.create_task(engine.query(DECISION_PATH, SLOW, PATIENCE_S))
    await asyncio.sleep(0.05)
    await engine.stop()
    await engine.stop()
    with pytest.raises(PolicyUnavailable):
        await slow
    with pytest.raises(PolicyUnavailable, match="no policy is served"):
        await ask(engine)
    async with asyncio.timeout(10):
        while any(thread.name == "detent-wasm" for thread in threading.enumerate()):
            await asyncio.sleep(0.01)


async def test_a_module_that_does_not_start_is_no_policy(
    engine: WasmOpa, bundle: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was served stays."""

    async def start(_: Worker) -> None:
        raise Stopped("no memory")

    monkeypatch.setattr(Worker, "start", start)
    with pytest.raises(PolicyUnavailable, match="does not start: no memory"):
        await engine.replace(bundle("decision := 2", "two"))
    assert await ask(engine) == 1


async def test_an_answer_larger_than_any_decision_is_none(bundle: Write) -> None:
    """64 KiB are enough."""
    engine = WasmOpa(find_opa().path, workers=1)
    await engine.start(bundle("decision := numbers.range(1, 20000)"))
    with pytest.raises(PolicyUnavailable, match="more than 65536 bytes"):
        await ask(engine)
    await engine.stop()
