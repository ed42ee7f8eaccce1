"""One bundle, three engines, the same decisions: on all suites and on inputs changed at random.

The slow ones are whole, and print what each engine costs: `pytest -m slow` on this file.
"""

import asyncio
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest

pytest.importorskip("wasmtime", reason="the extra `wasm` is not installed")

from pydantic_core import to_json

from proxy.pdp.base import DECISION_PATH, PolicyEngine, StagedBundle
from proxy.pdp.bundle import stage
from proxy.pdp.find_opa import find_opa
from proxy.pdp.manifests import load_catalogue
from proxy.pdp.suites import load_suites
from tests.harness.engines import Engines, engines
from tests.harness.mutations import mutated

POLICIES = Path(__file__).parents[2] / "policies"
SEED = 20261123
AT_ONCE = 8
ROUNDS, ASKED = 5, 300
TICKS = os.sysconf("SC_CLK_TCK")
KIB = 1024


@pytest.fixture
def bundle(tmp_path: Path) -> StagedBundle:
    """The shipped policies, staged."""
    return stage(POLICIES, tmp_path / "private", find_opa().path)


def corpus(bundle: StagedBundle, changed: int) -> list[dict[str, Any]]:
    """Return the inputs of all suites, decisions and lists, and so many changed ones."""
    cases = load_suites(POLICIES, load_catalogue(bundle.directory))
    inputs = [case.decision for case in cases] + [case.visible for case in cases]
    return [*inputs, *mutated(inputs, changed, SEED)]


async def differences(served: Engines, documents: list[dict[str, Any]]) -> list[Any]:
    """Return the inputs that are not decided alike, with what each engine says."""
    found: list[Any] = []
    for start in range(0, len(documents), AT_ONCE):
        asked = documents[start : start + AT_ONCE]
        answers = await asyncio.gather(*map(served.outcomes, asked))
        pairs = zip(asked, answers, strict=True)
        found += [pair for pair in pairs if len(set(map(str, pair[1].values()))) != 1]
    return found


@pytest.mark.timeout(900)
@pytest.mark.parametrize("changed", [150, pytest.param(6000, marks=pytest.mark.slow)])
async def test_all_engines_decide_alike(bundle: StagedBundle, changed: int) -> None:
    """Verdict, reasons, obligations, labels, risk, and whether there is an answer at all."""
    documents = corpus(bundle, changed)
    async with engines(bundle) as served:
        assert await differences(served, documents) == []


def processor_s(pid: int) -> float:
    """Return the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_kib(pid: int) -> int:
    """Return the memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def measured(engine: PolicyEngine, body: bytes, pid: int | None) -> dict[str, float]:
    """Ask one after the other; return microseconds, of the other process's too."""
    times = []
    before, other = time.process_time(), processor_s(pid) if pid else 0.0
    for _ in range(ASKED):
        began = time.perf_counter()
        await engine.query(DECISION_PATH, body, 20)
        times.append(time.perf_counter() - began)
    spent = time.process_time() - before
    spent_there = processor_s(pid) - other if pid else 0.0
    return {
        "p50": median(times) * 1e6,
        "gateway": spent / ASKED * 1e6,
        "opa": spent_there / ASKED * 1e6,
    }


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(600)
async def test_what_each_engine_costs(
    bundle: StagedBundle, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interleaved, the best of some rounds; the table is printed, and every figure is one."""
    cases = load_suites(POLICIES, load_catalogue(bundle.directory))
    body = to_json({"input": cases[0].decision})
    before_kib = resident_kib(os.getpid())
    async with engines(bundle) as served:
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in served.by_name}
        for _ in range(ROUNDS):
            for name, engine in served.by_name.items():
                rounds[name].append(await measured(engine, body, served.processes.get(name)))
        memory = {name: resident_kib(pid) for name, pid in served.processes.items()}
        memory["wasm"] = resident_kib(os.getpid()) - before_kib
    best = {
        name: {figure: min(one[figure] for one in taken) for figure in taken[0]}
        for name, taken in rounds.items()
    }
    with capsys.disabled():
        print("\nengine   p50 us  CPU us gateway  CPU us OPA  memory MiB")  # noqa: T201  # the table
        for name, row in best.items():
            there = f"{row['opa']:10.0f}  {memory[name] / KIB:10.0f}"
            print(f"{name:8}{row['p50']:7.0f}  {row['gateway']:14.0f}  {there}")  # noqa: T201
    assert min(row["p50"] for row in best.values()) > 0
