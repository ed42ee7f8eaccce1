import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proxy.chain.guarded import Found, Told
from proxy.errors import OutcomeUnknown
from proxy.model.ledger import IntentState, Outcome
from proxy.model.tool import Condition, Match, Probe, Recovery
from proxy.pipeline.document import parse_document
from proxy.upstream.base import UpstreamResult
from tests.harness.recalling import LOOK, denied, guarded, killed, left, session_ended
from tests.unit.proxy.pipeline.conftest import House


@pytest.mark.parametrize(
    ("text", "told"),
    [("a", Told(Found.DONE, "probe")), ("b", Told(Found.ABSENT, "probe"))],
)
async def test_a_probe_is_a_call_of_the_agent(house: House, text: str, told: Told) -> None:
    """A step of its own, by the recipe of the manifest."""
    step = await left(house, recovery=Recovery.PROBE, probe=LOOK)
    house.tool.answer = UpstreamResult(json.dumps({"text": text}).encode())
    assert await guarded(house).probe(step) == told
    assert house.tool.received[-1] == b'{"path":"a"}'
    newest, _ = await house.store.steps(None, (), 10)
    assert newest.intent.tool == "read_file"


ABSENT = replace(LOOK, absent=(Condition("/gone", Match.EQUALS, "true"),))


@pytest.mark.parametrize(
    ("recipe", "answer", "told"),
    [
        (ABSENT, UpstreamResult(b'{"gone":true}', is_error=True), Told(Found.ABSENT, "probe")),
        (ABSENT, UpstreamResult(b"{}"), Told(Found.SILENT, "probe-unclear")),
        (LOOK, UpstreamResult(b"{}", is_error=True), Told(Found.SILENT, "probe-unclear")),
        (LOOK, OutcomeUnknown("cut off"), Told(Found.SILENT, "outcome-unknown")),
    ],
)
async def test_an_unclear_answer_is_no_answer(
    house: House, recipe: Probe, answer: Any, told: Told
) -> None:
    """What is not said is not taken for a no."""
    step = await left(house, recovery=Recovery.PROBE, probe=recipe)
    house.tool.answer = answer
    assert await guarded(house).probe(step) == told


REFUSALS: dict[Callable[[House], Any], Told] = {
    killed: Told(Found.NOT_NOW, "killed"),
    denied: Told(Found.REFUSED, "role-allows-tool"),
    session_ended: Told(Found.REFUSED, "session-closed"),
}


@pytest.mark.parametrize(("change", "told"), REFUSALS.items())
async def test_a_probe_passes_the_checks_of_any_call(
    house: House, change: Callable[[House], Any], told: Told
) -> None:
    """As everything stands now; nothing goes out."""
    step = await left(house, recovery=Recovery.PROBE, probe=LOOK)
    await change(house)
    assert await guarded(house).probe(step) == told
    assert len(house.tool.received) == 1


@pytest.mark.parametrize(
    "recipe",
    [
        None,
        replace(LOOK, tool="rm"),
        replace(LOOK, tool="nothing"),
        replace(LOOK, arguments=(("path", "/other"),)),
    ],
)
async def test_without_a_recipe_that_fits_nothing_is_asked(
    house: House, recipe: Probe | None
) -> None:
    """Least of all a tool that is no read."""
    step = await left(house, recovery=Recovery.PROBE, probe=recipe)
    assert await guarded(house).probe(step) == Told(Found.REFUSED, "no-probe")
    assert len(house.tool.received) == 1


async def test_a_tool_that_is_gone_from_the_manifest_is_not_asked(house: House) -> None:
    """It cannot be called by anybody."""
    step = await left(house, probe=LOOK)
    house.stages.resolve.replace({})
    assert await guarded(house).probe(step) == Told(Found.REFUSED, "no-probe")
    assert await guarded(house).again(step, "me") == Told(Found.NOT_NOW, "unknown-tool")


@pytest.mark.parametrize(
    ("state", "outcome", "reasons"),
    [
        (IntentState.DONE, Outcome.DONE, []),
        (IntentState.ABORTED, Outcome.FAILED, ["recovered-aborted"]),
    ],
)
async def test_a_repeated_key_is_told_what_became_of_it(
    house: House, state: IntentState, outcome: Outcome, reasons: list[str]
) -> None:
    """Where the tool's own answer is lost."""
    step = await left(house)
    document = guarded(house).answer(step, state)
    assert document is not None
    answer = parse_document(document)
    assert (answer.step_id, answer.outcome) == (step.id, outcome)
    assert [given.id for given in answer.reasons] == reasons
