"""How far the trials are, and what came of them: a line on a terminal, a table, JSON."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TextIO

from tests.matrix.kept import Result

SHOWN_FAILURES, SHOWN_PROBLEMS = 20, 3
QUIET_S = 30.0

Row = tuple[str, Result]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: every value of one figure in a row, made into one number (sum, max, median…)."""

    title: str
    figure: str
    of: Callable[[Sequence[float]], float] = sum
    digits: int = 0

    def value(self, results: Iterable[Result]) -> float | None:
        """Return the number, None when no trial has the figure."""
        found: list[float] = []
        for result in results:
            figure = result.figures.get(self.figure, ())
            found += [figure] if isinstance(figure, int | float) else figure
        return round(self.of(found), self.digits) if found else None


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return float(statistics.median(values))


def p99(values: Sequence[float]) -> float:
    """Return the value that 99 % do not exceed (nearest rank)."""
    return sorted(values)[max(0, -(-99 * len(values) // 100) - 1)]


class Progress:
    """One line that is written over on a terminal; elsewhere a line now and then."""

    def __init__(self, count: int, stream: TextIO | None = None) -> None:
        self._count = count
        self._stream = stream or sys.stderr
        self._is_live = self._stream.isatty()
        self._began = self._told = time.monotonic()
        self._done = self._failed = 0

    def tell(self, result: Result) -> None:
        """Count a trial; one that failed is told at once."""
        self._done += 1
        now = time.monotonic()
        if not result.ok:
            self._failed += 1
            self._write(f"FAILED {result.name}: {_line(result.problems[0])}\n")
        if self._is_live or now - self._told > QUIET_S or self._done == self._count:
            self._told = now
            self._write(self._line(now, result.name) + ("" if self._is_live else "\n"))

    def end(self) -> None:
        """Leave the line."""
        if self._is_live and self._done:
            self._write("\n")

    def _line(self, now: float, name: str) -> str:
        each_s = (now - self._began) / self._done
        left_min = each_s * (self._count - self._done) / 60
        rate = f"{each_s:.1f} s each, {left_min:.0f} min left, {self._failed} failed"
        return f"{self._done}/{self._count}  {rate}  {name}"

    def _write(self, text: str) -> None:
        self._stream.write(("\r\x1b[K" if self._is_live else "") + text)
        self._stream.flush()


def as_table(name: str, commit: str, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Lay out one line a row in the order they first appear, a line for all, then the failures."""
    cells = [["row", "trials", "failed", *(one.title for one in columns), "s/trial"]]
    cells += [_cells(row, found, columns) for row, found in _grouped(rows)]
    if rows:
        cells.append(_cells("all", [result for _, result in rows], columns))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [f"{name} at {commit}"]
    for first, *rest in cells:
        right = (text.rjust(width) for text, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join((first.ljust(widths[0]), *right)))
    failures = [result for _, result in rows if not result.ok]
    lines += [f"FAILED {one.name}: {_said(one)}" for one in failures[:SHOWN_FAILURES]]
    if len(failures) > SHOWN_FAILURES:
        lines.append(f"… and {len(failures) - SHOWN_FAILURES} more")
    return "\n".join(lines)


def as_json(name: str, commit: str, columns: Sequence[Column], rows: Sequence[Row]) -> str:
    """Return the same for machines."""
    told = {
        "table": name,
        "commit": commit,
        "trials": len(rows),
        "failed": sum(not result.ok for _, result in rows),
        "rows": [
            {
                "row": row,
                "trials": len(found),
                "failed": sum(not one.ok for one in found),
                **{column.title: column.value(found) for column in columns},
            }
            for row, found in _grouped(rows)
        ],
        "failures": [asdict(result) for _, result in rows if not result.ok],
    }
    return json.dumps(told, indent=2)


def _grouped(rows: Sequence[Row]) -> list[tuple[str, list[Result]]]:
    grouped: dict[str, list[Result]] = {}
    for row, result in rows:
        grouped.setdefault(row, []).append(result)
    return list(grouped.items())


def _said(failed: Result) -> str:
    more = len(failed.problems) - SHOWN_PROBLEMS
    shown = [_line(problem) for problem in failed.problems[:SHOWN_PROBLEMS]]
    return "; ".join([*shown, f"and {more} more"] if more > 0 else shown)


def _line(problem: str) -> str:
    return " ".join(problem.split())


def _cells(row: str, found: Sequence[Result], columns: Sequence[Column]) -> list[str]:
    values = (column.value(found) for column in columns)
    shown = [
        "-" if value is None else f"{value:,.{column.digits}f}"
        for column, value in zip(columns, values, strict=True)
    ]
    failed = sum(not one.ok for one in found)
    seconds = statistics.fmean(one.seconds for one in found)
    return [row, str(len(found)), str(failed), *shown, f"{seconds:.1f}"]
