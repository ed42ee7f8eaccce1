"""Every way to run OPA, the same cases: an answer of the right policies in time, or none at all."""

import asyncio
import signal
from typing import Any

import pytest

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.pdp.base import DECISION_PATH, VISIBLE_PATH, StagedBundle

PATIENCE_S = 10.0


@pytest.mark.parametrize("verdict", ["allow", "deny"])
async def test_a_result_comes_as_the_policy_gives_it(served: Any, verdict: str) -> None:
    """The result is the rule's value, and carries the revision that OPA itself reports."""
    body = b'{"input":{"ask":"%b"}}' % verdict.encode()
    answer = await served.engine.query(DECISION_PATH, body, PATIENCE_S)
    assert answer.result == {"verdict": verdict}
    assert answer.revision == "first"


async def test_undefined_is_none(served: Any) -> None:
    """A rule that does not fire gives no result, which is not an answer to rely on."""
    assert await served.ask("nothing") is None


async def test_visible_is_asked_the_same_way(served: Any) -> None:
    """The other entry point answers too."""
    assert await served.ask("", VISIBLE_PATH) == ["repo/git_log"]


async def test_no_other_path_is_asked(served: Any) -> None:
    """Nothing but the two entry points can be evaluated through an engine."""
    with pytest.raises(PolicyUnavailable, match="not a path of the decision point"):
        await served.ask("allow", "detent/main/decision/verdict")


async def test_a_slow_policy_is_cut_at_the_deadline(served: Any) -> None:
    """Evaluation that takes too long is no answer, and the next question gets one."""
    assert "within 0.5 s" in await served.refusal("slow")
    assert await served.answer_again() == {"verdict": "allow"}


async def test_a_failing_builtin_is_no_answer(served: Any) -> None:
    """Errors of builtins are errors, never an undefined that lets a deny rule not fire."""
    told = await served.refusal("error")
    assert "status 500" in told or "rem failed" in told


async def test_an_oversize_answer_is_no_answer(served: Any) -> None:
    """More than 64 KiB is not read."""
    assert "more than 65536 bytes" in await served.refusal("huge")


async def test_many_questions_at_once_get_their_own_answers(served: Any) -> None:
    """Answers never cross."""
    verdicts = ["allow", "deny"] * 50
    answers = await asyncio.gather(*(served.ask(verdict) for verdict in verdicts))
    assert answers == [{"verdict": verdict} for verdict in verdicts]


async def test_a_cancelled_question_leaves_no_answer_to_the_next(served: Any) -> None:
    """A connection with an answer under way is not used again."""
    for _ in range(20):
        question = asyncio.create_task(served.ask("deny"))
        await asyncio.sleep(0.0005)
        question.cancel()
        assert await served.ask("allow") == {"verdict": "allow"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_dead_or_frozen_opa_gives_no_answer(with_opa: Any, number: signal.Signals) -> None:
    """Every question is refused within the deadline, and service returns with OPA."""
    assert await with_opa.ask("allow") == {"verdict": "allow"}
    await with_opa.hit(number)
    await with_opa.refusal()
    await with_opa.revive()
    assert await with_opa.answer_again() == {"verdict": "allow"}


async def test_a_start_with_another_revision_is_refused(unstarted: Any) -> None:
    """What OPA serves must be what we staged."""
    staged = unstarted.bundle("other")
    await unstarted.serve(staged)
    with pytest.raises(PolicyInvalid, match=r"other\b.* not .*mine"):
        await unstarted.engine.start(StagedBundle(staged.directory, "mine"))


async def test_replace_serves_the_new_bundle(served: Any) -> None:
    """After a reload the new policies answer, under the new revision."""
    second = served.bundle("second", 'package detent.main\n\ndecision := "second"\n')
    await served.serve(second)
    await served.engine.replace(second)
    answer = await served.engine.query(DECISION_PATH, b'{"input":{}}', PATIENCE_S)
    assert (answer.result, answer.revision) == ("second", "second")


async def test_a_failed_replace_keeps_the_old_bundle(served: Any) -> None:
    """A bundle that OPA does not serve as staged changes nothing."""
    with pytest.raises(PolicyInvalid):
        await served.engine.replace(StagedBundle(served.bundle("third").directory, "not it"))
    assert await served.ask("allow") == {"verdict": "allow"}
