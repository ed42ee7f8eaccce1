"""`--sample N`: of a test with many cases, run N; always the same ones, whatever runs beside them.

Which ones is decided by their names alone, so that processes side by side agree and a failure can
be had again. Without the option every case runs, as `make test-all` does.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence


def sampled(names: Sequence[str], most: int) -> set[str]:
    """Return at most `most` names of every test, which is what stands before the bracket."""
    cases: dict[str, list[str]] = defaultdict(list)
    for name in names:
        cases[name.split("[", 1)[0]].append(name)
    return {name for test in cases.values() for name in _spread(test)[:most]}


def _spread(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
