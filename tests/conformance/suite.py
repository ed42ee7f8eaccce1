"""Running the official conformance suite against a URL, and reading what it found."""

import asyncio
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.harness.node import SUITE, command

REVISIONS = ("2025-11-25", "2026-07-28")
TIMEOUT_S = 300
_FOLDER = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the suite looked at. Status: SUCCESS, FAILURE, WARNING, SKIPPED or INFO."""

    id: str
    name: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one run found: the checks of each scenario, and which scenarios count."""

    revision: str
    scored: tuple[str, ...]
    checks: Mapping[str, tuple[Check, ...]]

    @property
    def failed(self) -> list[str]:
        """The scenarios that count and did not pass."""
        return [name for name in self.scored if not self._is_passed(name)]

    @property
    def score(self) -> str:
        """Points and scenarios, such as `30/30`."""
        return f"{len(self.scored) - len(self.failed)}/{len(self.scored)}"

    def failures(self, scenario: str) -> list[Check]:
        """Return the failed checks of a scenario."""
        return [check for check in self.checks.get(scenario, ()) if check.status == "FAILURE"]

    def _is_passed(self, scenario: str) -> bool:
        return bool(self.checks.get(scenario)) and not self.failures(scenario)


async def score(url: str, revision: str, results: Path) -> Report:
    """Run every scenario a revision requires, and those it only reports; keep the results.

    Raises NotInstalled without suite or Node, TimeoutError when it does not end.
    """
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    arguments = ["server", "--url", url, "--requirements", revision, "--output-dir", str(results)]
    with (results / "log.txt").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command(SUITE, *arguments), stdout=log, stderr=log
        )
        try:
            await asyncio.wait_for(process.wait(), TIMEOUT_S)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return read(results, revision)


def read(results: Path, revision: str) -> Report:
    """Read the results of a run. A scenario that left none has no checks."""
    required = yaml.safe_load((SUITE.parents[1] / f"requirements/{revision}.yaml").read_text())
    checks: dict[str, tuple[Check, ...]] = {}
    for file in sorted(results.glob("*/checks.json")):
        found = _FOLDER.fullmatch(file.parent.name)
        assert found is not None, file
        checks[found[1]] = tuple(
            Check(one["id"], one["name"], one["status"], one.get("errorMessage") or "")
            for one in json.loads(file.read_text())
        )
    return Report(revision, tuple(required["server"]), checks)
