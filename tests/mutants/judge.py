"""Whether anything notices a mutant: the compiler, the Rego tests, or the suites."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proxy.pdp.base import DECISION_PATH, QueryAnswer
from proxy.pdp.manifests import load_catalogue
from proxy.pdp.suites import Case, load_suites, run_suites
from tests.mutants.mutate import Mutant

TIMEOUT_S = 300.0
_PACKAGE = re.compile(r"^package\s+([\w.]+)", re.MULTILINE)
_ASK = """{
    "decisions": [[one | one := data.detent.main.decision with input as asked] |
        some asked in input.decisions],
    "lists": [[one | one := data.detent.main.visible with input as asked] |
        some asked in input.lists],
}"""


class Judge:
    """A copy of the bundle, in which one file at a time is another."""

    def __init__(self, bundle: Path, place: Path, opa: Path) -> None:
        self._copy = Path(shutil.copytree(bundle, place / "mutant"))
        self._opa = opa
        self._cases = load_suites(bundle, load_catalogue(bundle))
        if not (self._passes(".") and self._suites_pass()):
            raise ValueError(f"{bundle}: its own tests and suites do not pass")

    def noticed_by(self, mutant: Mutant) -> str:
        """Return what notices a mutant, empty when nothing does."""
        file = self._copy / mutant.file
        kept = file.read_bytes()
        file.write_bytes(mutant.content)
        try:
            package = _PACKAGE.search(kept.decode())
            own = rf"{package[1]}_test\." if package else "."
            for name, only in (("its own tests", own), ("the tests", ".")):
                if not self._passes(only):
                    return name
            return "" if self._suites_pass() else "the suites"
        finally:
            file.write_bytes(kept)

    def _passes(self, only: str) -> bool:
        arguments = ("test", "--bundle", "--format", "json", "--timeout", "60s", "--run", only, ".")
        return self._run(arguments, b"").returncode == 0

    def _suites_pass(self) -> bool:
        asked = {
            "decisions": [case.decision for case in self._cases],
            "lists": [case.visible for case in self._cases],
        }
        bounds = ("--strict-builtin-errors", "--stdin-input", "--format", "raw")
        arguments = ("eval", "--bundle", ".", *bounds, _ASK)
        done = self._run(arguments, json.dumps(asked).encode())
        return done.returncode == 0 and _pass(self._cases, json.loads(done.stdout))

    def _run(self, arguments: Sequence[str], given: bytes) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [self._opa, *arguments],
            cwd=self._copy,
            input=given,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )


def _pass(cases: Sequence[Case], answers: dict[str, list[Any]]) -> bool:
    """Whether every case is decided as its suite says."""
    decisions, lists = iter(answers["decisions"]), iter(answers["lists"])

    async def query(path: str, _: bytes) -> QueryAnswer:
        answer = next(decisions if path == DECISION_PATH else lists)
        return QueryAnswer(answer[0] if answer else None, "")

    return all(result.passed for result in asyncio.run(run_suites(cases, query)))
