"""Where two runs of the suite differ, check by check."""

from collections import Counter
from dataclasses import dataclass

from tests.conformance.suite import Check, Report


@dataclass(frozen=True, slots=True)
class Difference:
    """A check that ended otherwise through the gateway."""

    scenario: str
    check: str
    direct: str
    through: str
    message: str

    def __str__(self) -> str:
        """One line for people."""
        line = f"{self.scenario} · {self.check}: {self.direct} → {self.through}"
        return f"{line} ({self.message})" if self.message else line


def differences(direct: Report, through: Report) -> list[Difference]:
    """Return every check with another verdict, of scenarios that are not scored as well.

    INFO is a note of the suite and no verdict: notes on both sides are equal, however many.
    """
    found: list[Difference] = []
    for scenario in sorted(direct.checks.keys() | through.checks.keys()):
        here, there = (_grouped(report.checks.get(scenario, ())) for report in (direct, through))
        for key in sorted(here.keys() | there.keys()):
            before, after = (_statuses(group.get(key, [])) for group in (here, there))
            if before != after:
                message = "; ".join(one.message for one in there.get(key, []) if one.message)
                name = f"{key[0]} ({key[1]})"
                found.append(Difference(scenario, name, before, after, message))
    return found


def _grouped(checks: tuple[Check, ...]) -> dict[tuple[str, str], list[Check]]:
    """Return the checks by id and name; a scenario can make one several times."""
    groups: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        groups.setdefault((check.id, check.name), []).append(check)
    return groups


def _statuses(checks: list[Check]) -> str:
    counts = Counter(check.status for check in checks)
    if not counts.keys() - {"INFO"}:
        return "no verdict"
    return ", ".join(f"{n}x {status}" if n > 1 else status for status, n in sorted(counts.items()))
