"""OPA's own cases through the wasm engine: passed, ended, or refused at load; never wrong."""

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("wasmtime", reason="the extra `wasm` is not installed")

from proxy.pdp.base import StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.pdp.wasm.builtins import capabilities
from proxy.pdp.wasm.compile import compile_bundle
from proxy.pdp.wasm.machine import Machine, Stopped
from proxy.pdp.wasm.refusals import refusals
from tests.harness.conformance import Case, cases_directory, like, load_cases, write_bundle

CASES = cases_directory()
QUICK = ("netcidrcontains", "regexmatch", "sprintf", "trim", "objectget")
WHOLE = (
    *QUICK, "aggregates", "arithmetic", "array", "comparisonexpr", "completedoc",
    "comprehensions", "containskeyword", "defaultkeyword", "elsekeyword", "eqexpr", "every",
    "functions", "globmatch", "indexing", "intersection", "negation", "netcidrisvalid",
    "numbersrange", "objectfilter", "objectkeys", "objectremove", "objectunion", "partialiter",
    "partialobjectdoc", "partialsetdoc", "reachable", "regexfindallstringsubmatch", "sets",
    "strings", "trimleft", "trimprefix", "trimright", "trimspace", "trimsuffix", "type",
    "typebuiltin", "typenamebuiltin", "union", "virtualdocs", "walkbuiltin", "withkeyword",
)  # fmt: skip
# A builtin that OPA's code fails with, as a strict OPA does, or a guard of ours.
ENDED = re.compile(r" failed$")
_PLACE = re.compile(r"(?:\A|\s|\./|\")(c\d+)/")

pytestmark = pytest.mark.skipif(CASES is None, reason="OPA's sources are not in the module cache")


def loadable(directory: Path, cases: dict[str, Case]) -> dict[str, Case]:
    """Return the cases that a check with our capabilities lets through."""
    (directory.parent / "capabilities.json").write_bytes(capabilities())
    command = [str(find_opa().path), "check", "--bundle", "--max-errors=2000", "--capabilities"]
    while True:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        write_bundle(directory, cases, "cases")
        done = subprocess.run(
            [*command, "../capabilities.json", "."],
            cwd=directory, env={}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        told = "\n".join([done.stderr, done.stdout, *refusals(directory)])
        refused = set(_PLACE.findall(told)) & cases.keys()
        if not refused:
            assert done.returncode == 0, done.stderr + done.stdout
            return cases
        cases = {root: case for root, case in cases.items() if root not in refused}


def outcome(machine: Machine, entry_point: int, case: Case) -> str:
    """Return how a case went."""
    document = json.dumps(case.input, ensure_ascii=False).encode() if case.input else b""
    try:
        results: Any = json.loads(machine.evaluate(entry_point, document))
    except Stopped as stopped:
        if not case.wanted:
            return "passed"
        return "ended" if ENDED.search(str(stopped)) else f"stopped: {case.note}: {stopped}"
    got = [row["result"] for row in results]
    if case.wanted is not None and like(got) == like(case.wanted):
        return "passed"
    return f"wrong: {case.note}: {got}, not {case.wanted}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "folders", [QUICK, pytest.param(WHOLE, marks=pytest.mark.slow)], ids=["quick", "whole"]
)
def test_no_case_has_another_result(tmp_path: Path, folders: tuple[str, ...]) -> None:
    """What is loaded gives OPA's result or none; most of it gives the result."""
    assert CASES is not None
    every = {f"c{n}": case for n, case in enumerate(load_cases(CASES, folders))}
    directory = tmp_path / "bundle"
    cases = loadable(directory, every)
    paths = tuple(f"{root}/{case.path}" for root, case in cases.items())
    compiled = compile_bundle(StagedBundle(directory, "cases"), find_opa().path, paths)
    machine = Machine(compiled.program)
    went = Counter(
        outcome(machine, compiled.entry_points[path], case)
        for path, case in zip(paths, cases.values(), strict=True)
        if path in compiled.entry_points
    )
    machine.close()
    print({**went, "refused at load": len(every) - len(cases)})  # noqa: T201  # the figures
    assert not went.keys() - {"passed", "ended"}
    assert went["passed"] > 8 * went["ended"]
