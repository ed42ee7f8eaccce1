"""`python -m bench.reload managed:500 gateway-wasm:100`: policies replaced while they are asked.

So many decisions a second are asked of one engine, or calls of a whole gateway with that engine,
arrivals as `bench.load` has them, and all the while one bundle after the other takes its place.
Each bundle says its number in a sentence of its own, so an answer shows by which rules it was made,
whatever revision it carries. Prints a table and writes it to bench/reload.md.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from bench.load import open_loop
from bench.reload_calls import measure_calls
from bench.reload_seen import COLUMNS, Seen, number_sentence
from proxy.app.review import reviewer, suite_inputs
from proxy.app.wasm import wasm_engine
from proxy.errors import PolicyUnavailable
from proxy.pdp.base import DECISION_PATH, PolicyEngine, StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.pdp.managed_opa import ManagedOpa
from proxy.pdp.review.sides import Side
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS

RESULTS = Path(__file__).with_name("reload.md")
POLICIES = Path(__file__).parents[1] / "policies"
DEADLINE_S = 5.0
ALLOWED = 20
ROWS = ("managed:500", "wasm:500", "gateway-managed:500", "gateway-wasm:250")
ENGINES = {"managed": ManagedOpa, "wasm": wasm_engine}


@dataclass(frozen=True)
class Asking:
    """One engine, the bundles it is given in turn, and allowed calls in the form of questions."""

    engine: PolicyEngine
    bodies: Iterator[bytes]
    seen: Seen

    async def ask(self) -> None:
        """Ask once and look whether stamp and rules agree."""
        asked_under = self.seen.live
        try:
            answer = await self.engine.query(DECISION_PATH, next(self.bodies), DEADLINE_S)
        except PolicyUnavailable as error:
            self.seen.errors.append(str(error))
            return
        self.seen.add(answer.revision, asked_under, str(answer.result))

    async def reload(self, staged: list[StagedBundle], every_s: float) -> None:
        """Put one bundle after the other in place."""
        for bundle in staged:
            await asyncio.sleep(every_s)
            began = time.perf_counter()
            await self.engine.replace(bundle)
            self.seen.replaced_s.append(time.perf_counter() - began)
            self.seen.live = self.seen.revisions[bundle.revision]


def numbered(directory: Path, number: int) -> Path:
    """Write the shipped policies, with a number in the sentence of what is allowed."""
    copy = directory / f"bundle-{number}"
    shutil.copytree(POLICIES, copy)
    number_sentence(copy, "role-allows-tool", number)
    return copy


def allowed(side: Side) -> Iterator[dict[str, Any]]:
    """Yield inputs of the suites that the shipped policies allow."""
    inputs = [one.input for one in suite_inputs(POLICIES, side)]
    answers = side.answers(find_opa().path, inputs, KNOWN_OBLIGATIONS)
    for one, (outcome, _) in zip(inputs, answers, strict=True):
        if outcome and outcome.verdict == "allow":
            yield one


async def measure(name: str, rate: float, seconds: float, every_s: float) -> str:
    """Ask and replace for so long; return a row of the table."""
    engine = ENGINES[name](find_opa().path)
    with tempfile.TemporaryDirectory() as held, reviewer(find_opa().path) as made:
        count = int(seconds / every_s)
        sides = [made.side(numbered(Path(held), number)) for number in range(count + 1)]
        bodies = [to_json({"input": one}) for one in itertools.islice(allowed(sides[0]), ALLOWED)]
        first, *others = [side.bundle for side in sides]
        bundles = {one.revision: number for number, one in enumerate([first, *others])}
        asking = Asking(engine, itertools.cycle(bodies), Seen(revisions=bundles))
        await engine.start(first)
        try:
            async with asyncio.TaskGroup() as both:
                reloading = both.create_task(asking.reload(others, every_s))
                loading = both.create_task(open_loop(asking.ask, rate, seconds))
        finally:
            await engine.stop()
    assert reloading.done()
    return asking.seen.row(name, rate, seconds, loading.result())


async def main(rows: list[str], seconds: float, every_s: float) -> None:
    """Measure each row and write the table down."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        name, _, rate = row.partition(":")
        _, is_gateway, engine = name.rpartition("gateway-")
        measured = measure_calls if is_gateway else measure
        lines.append(await measured(engine, float(rate), seconds, every_s))
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    RESULTS.write_text(
        f"A reload every {every_s:g} s; load average {load}.\n\n" + "\n".join(lines) + "\n"
    )
    print(RESULTS.read_text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=ROWS)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between reloads")
    given = parser.parse_args()
    asyncio.run(main(given.rows, given.seconds, given.every))
