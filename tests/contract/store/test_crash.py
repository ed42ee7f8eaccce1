"""kill -9 in the middle of writing: nothing that was acknowledged is lost."""

import subprocess
import sys
from collections import defaultdict
from itertools import islice
from pathlib import Path

import pytest

from proxy.model.ledger import IntentState
from tests.harness.ledger import NOW
from tests.harness.stores import Place

ROOT = Path(__file__).parents[3]


def killed_after(place: Place, lines: int) -> dict[str, set[str]]:
    """Let a process write, kill it after so many acknowledgements, return all it printed."""
    command = [sys.executable, "-m", "tests.harness.reserving", place.kind, place.where]
    told: dict[str, set[str]] = defaultdict(set)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            first = list(islice(process.stdout, lines))
        finally:
            process.kill()
        for line in [*first, *process.stdout]:
            if line.endswith("\n"):
                word, name = line.split()
                told[word].add(name)
    return told


@pytest.mark.parametrize("lines", [1, 60, 700])
async def test_what_was_acknowledged_is_there_after_kill_9(place: Place, lines: int) -> None:
    """Steps, outcomes and kills; what was open is unknown, its points still held."""
    told = killed_after(place, lines)
    store = place.store()
    await store.open()
    while await store.steps(None, ("intent", "sending"), 1):  # a server may notice a moment later
        await store.open_intents_to_unknown(NOW)
    steps = {step.intent.step_id: step for step in await store.steps(None, (), 10**6)}
    assert told["step"] <= steps.keys()
    assert all(steps[name].state is IntentState.DONE for name in told["done"])
    ended = {IntentState.DONE, IntentState.UNKNOWN}
    assert {step.state for step in steps.values()} <= ended
    assert told["kill"] <= {entry.order.id for entry in await store.kill_log()}
    assert len(await store.decisions(10**6, ("*",))) == len(steps)
    await store.close()
