"""`python -m bench.reload managed:500 wasm:500`: policies replaced while they are asked.

So many decisions a second are asked of one engine, arrivals as `bench.load` has them, and all the
while one bundle after the other takes its place. Each bundle says its number in a sentence of its
own, so an answer shows by which rules it was made, whatever revision it carries. Prints a table and
writes it to bench/reload.md.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from bench.load import open_loop, quantile
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
SENTENCE, ALLOWED = "A role of the caller allows this tool.", 20
ENGINES = {"managed": ManagedOpa, "wasm": wasm_engine}


@dataclass
class Seen:
    """What came back. `late` carry a revision that was replaced before they were asked."""

    live: int = 0
    answered: int = 0
    errors: list[str] = field(default_factory=list)
    late: int = 0
    mixed: int = 0
    revisions: set[str] = field(default_factory=set)
    replaced_s: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Asking:
    """One engine, the bundles it is given in turn, and allowed calls in the form of questions."""

    engine: PolicyEngine
    bundles: dict[str, int]
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
        stamped = self.bundles[answer.revision]
        self.seen.answered += 1
        self.seen.late += stamped < asked_under
        self.seen.mixed += f"Bundle {stamped}." not in str(answer.result)
        self.seen.revisions.add(answer.revision)

    async def reload(self, staged: list[StagedBundle], every_s: float) -> None:
        """Put one bundle after the other in place."""
        for bundle in staged:
            await asyncio.sleep(every_s)
            began = time.perf_counter()
            await self.engine.replace(bundle)
            self.seen.replaced_s.append(time.perf_counter() - began)
            self.seen.live = self.bundles[bundle.revision]


def numbered(directory: Path, number: int) -> Path:
    """Write the shipped policies, with a number in the sentence of what is allowed."""
    copy = directory / f"bundle-{number}"
    shutil.copytree(POLICIES, copy)
    sentences = copy / "reasons/data.yaml"
    text = sentences.read_text()
    assert SENTENCE in text
    sentences.write_text(text.replace(SENTENCE, f"{SENTENCE} Bundle {number}."))
    return copy


def allowed(side: Side) -> Iterator[dict[str, Any]]:
    """Yield inputs of the suites that the shipped policies allow."""
    inputs = [one.input for one in suite_inputs(POLICIES, side)]
    answers = side.answers(find_opa().path, inputs, KNOWN_OBLIGATIONS)
    for one, (outcome, _) in zip(inputs, answers, strict=True):
        if outcome.verdict == "allow":
            yield one


async def measure(engine: PolicyEngine, rate: float, seconds: float, every_s: float) -> str:
    """Ask and replace for so long; return a row of the table."""
    with tempfile.TemporaryDirectory() as held, reviewer(find_opa().path) as made:
        count = int(seconds / every_s)
        sides = [made.side(numbered(Path(held), number)) for number in range(count + 1)]
        bodies = [to_json({"input": one}) for one in itertools.islice(allowed(sides[0]), ALLOWED)]
        first, *others = [side.bundle for side in sides]
        bundles = {one.revision: number for number, one in enumerate([first, *others])}
        asking = Asking(engine, bundles, itertools.cycle(bodies), Seen())
        await engine.start(first)
        try:
            async with asyncio.TaskGroup() as both:
                reloading = both.create_task(asking.reload(others, every_s))
                loading = both.create_task(open_loop(asking.ask, rate, seconds))
        finally:
            await engine.stop()
    assert reloading.done()
    return _row(rate, seconds, asking.seen, loading.result())


def _row(rate: float, seconds: float, seen: Seen, times: list[float]) -> str:
    p50, p99, worst = (quantile(times, q) for q in (0.5, 0.99, 1.0))
    for problem in sorted(set(seen.errors)):
        print(problem)
    return (
        f"{rate:g} | {seen.answered} in {seconds:g} s | {len(seen.errors)} | "
        f"{len(seen.replaced_s)} | {len(seen.revisions)} | {seen.mixed} | {seen.late} | "
        f"{p50:.1f}, {p99:.1f}, {worst:.0f} | {max(seen.replaced_s):.1f}"
    )


async def main(rows: list[str], seconds: float, every_s: float) -> None:
    """Measure each row and write the table down."""
    names = (
        "engine", "decisions/s", "answered", "without an answer", "reloads", "revisions seen",
        "stamp is not of the rules", "of a replaced revision", "p50, p99, max ms",
        "longest reload s",
    )  # fmt: skip
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for row in rows:
        name, _, rate = row.partition(":")
        engine = ENGINES[name](find_opa().path)
        lines.append(f"| {name} | {await measure(engine, float(rate), seconds, every_s)} |")
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    RESULTS.write_text(
        f"A reload every {every_s:g} s; load average {load}.\n\n" + "\n".join(lines) + "\n"
    )
    print(RESULTS.read_text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", default=["managed:500", "wasm:500"])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between reloads")
    given = parser.parse_args()
    asyncio.run(main(given.rows, given.seconds, given.every))
