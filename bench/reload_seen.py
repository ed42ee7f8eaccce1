"""What comes back while policies are replaced, and the row of the table it makes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.load import quantile

COLUMNS = (
    "asked", "a second", "answered", "without an answer", "reloads", "revisions seen",
    "stamp is not of the rules", "of a replaced revision", "p50, p99, max ms", "longest reload s",
)  # fmt: skip


@dataclass
class Seen:
    """What came back. `late` carry a revision that was replaced before they were asked.

    `live` is the number of the newest bundle that is in place, `revisions` the number of each.
    """

    live: int = 0
    revisions: dict[str, int] = field(default_factory=dict)
    answered: int = 0
    errors: list[str] = field(default_factory=list)
    late: int = 0
    mixed: int = 0
    stamps: set[str] = field(default_factory=set)
    replaced_s: list[float] = field(default_factory=list)

    def add(self, revision: str, asked_under: int, sentence: str | None) -> None:
        """Count an answer; `sentence`, if it has one, names the bundle whose rules made it."""
        number = self.revisions[revision]
        self.answered += 1
        self.late += number < asked_under
        self.mixed += sentence is not None and f"Bundle {number}." not in sentence
        self.stamps.add(revision)

    def row(self, name: str, rate: float, seconds: float, times: Sequence[float]) -> str:
        """Return the row in Markdown; print what went wrong, each kind once."""
        p50, p99, worst = (quantile(list(times), q) for q in (0.5, 0.99, 1.0))
        for problem in sorted(set(self.errors)):
            print(problem)
        return (
            f"| {name} | {rate:g} | {self.answered} in {seconds:g} s | {len(self.errors)} | "
            f"{len(self.replaced_s)} | {len(self.stamps)} | {self.mixed} | {self.late} | "
            f"{p50:.1f}, {p99:.1f}, {worst:.0f} | {max(self.replaced_s):.1f} |"
        )


def number_sentence(bundle: Path, reason: str, number: int) -> None:
    """Put the number of a bundle at the end of what one reason says."""
    file = bundle / "reasons/data.yaml"
    before, found, rest = file.read_text().partition(f"\n{reason}: ")
    assert found
    said, _, others = rest.partition("\n")
    said = said.partition(" Bundle ")[0]
    file.write_text(f"{before}{found}{said} Bundle {number}.\n{others}")
