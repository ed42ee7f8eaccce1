"""One thing that is wrong with a bundle."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`file` is relative to the bundle, `line` counts from 1; `rule` is the id of the check.

    `problem` and `cure` are one sentence each, without the full stop.
    """

    file: str
    line: int
    rule: str
    problem: str
    cure: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.problem}. Cure: {self.cure}"
