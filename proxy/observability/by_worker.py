"""One scrape of several processes: every series gets the label `worker`, none is added up.

A counter starts anew with its process. Summed here, the sum would fall when a worker is replaced,
and nobody could tell that from a reset of all; Prometheus sees each one and does it right.
"""

import re
from collections.abc import Mapping

UP = "detent_worker_up"
_COMMENT = re.compile(r"# (?:HELP|TYPE) (\S+) ")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def by_worker(scrapes: Mapping[int, bytes | None]) -> bytes:
    """Join scrapes (Prometheus text format 0.0.4) by the worker's number; None: it said nothing."""
    families: dict[str, list[str]] = {}
    known: set[str] = set()
    family = ""
    for number, scrape in sorted(scrapes.items()):
        for line in (scrape or b"").decode().splitlines():
            if comment := _COMMENT.match(line):
                family = comment[1]
                if line not in known:
                    families.setdefault(family, []).append(line)
                    known.add(line)
            else:
                families.setdefault(family, []).append(_labelled(line, number))
    families[UP] = [
        f"# HELP {UP} Whether the worker answered this scrape.",
        f"# TYPE {UP} gauge",
        *(
            f'{UP}{{worker="{number}"}} {float(scrape is not None)}'
            for number, scrape in sorted(scrapes.items())
        ),
    ]
    return "".join(f"{line}\n" for lines in families.values() for line in lines).encode()


def _labelled(line: str, number: int) -> str:
    """Put the label into a sample, before those it has."""
    name = _NAME.match(line)
    if name is None:
        return line
    rest = line[name.end() :]
    if rest.startswith("{"):
        return f'{name[0]}{{worker="{number}",{rest[1:]}'
    return f'{name[0]}{{worker="{number}"}}{rest}'
