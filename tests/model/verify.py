"""Build one case with `spin -a` and cc, search it, and say what was found.

The safe model is searched depth first to the end; a mutant breadth first, so that the trail kept
in var/model is a shortest way to the failure.
"""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.model.cases import Case

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "docs/model/kill_lease.pml"
KEPT = ROOT / "var/model"
MAX_MEMORY_MB = 8_000
MAX_DEPTH = 1_000_000
SEARCH_TIMEOUT_S = 1_500
BUILD_TIMEOUT_S = 120
SAFE_HASH_BITS = 26
MUTANT_HASH_BITS = 22

_CLAIM = re.compile(r"assert\(.*/\* ([A-Z]+) \*/")
_PLACE = re.compile(r"spin: (\S+):(\d+), Error: assertion violated")
_UNREACHED = re.compile(r"^\t\S+:\d+, state \d+, (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Search:
    """What the verifier printed. `complete`: every reachable state was visited and none merged."""

    errors: int
    states: int
    depth: int
    complete: bool
    unreached: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """A case and what came of it; `verdict` is a few words, `ok` whether it is as it has to be."""

    name: str
    states: int
    depth: int
    seconds: float
    verdict: str
    ok: bool


class BuildFailed(Exception):
    """The model or the verifier did not build; the message is what the tool said."""


def verify(spin: str, compiler: str, case: Case, kept: Path = KEPT) -> Result:
    """Check one case in its own directory under `kept`. Raises BuildFailed."""
    place = kept / (case.macro or case.name).lower()
    place.mkdir(parents=True, exist_ok=True)
    for trail in place.glob("*.trail"):
        trail.unlink()
    _build(spin, compiler, case, place)
    bits = SAFE_HASH_BITS if case.safe else MUTANT_HASH_BITS
    started = time.monotonic()
    said = _run(place, SEARCH_TIMEOUT_S, "./pan", f"-m{MAX_DEPTH}", f"-w{bits}")
    seconds = round(time.monotonic() - started, 1)
    (place / "pan.out").write_text(said)
    search = read_search(said)
    broken = _broken_claim(spin, compiler, case, place) if search.errors else None
    verdict, ok = judge(case, search, broken)
    return Result(case.name, search.states, search.depth, seconds, verdict, ok)


def read_search(said: str) -> Search:
    """Read the verifier's report; what is not in it counts as nothing done."""
    spoilt = ("Search not completed", "max search depth too small", "timed out")
    whole = "\nFull statespace search for:" in said and "pan: elapsed time" in said
    return Search(
        errors=_number(r"errors: (\d+)", said),
        states=_number(r"([\d.e+]+) states, stored", said),
        depth=_number(r"depth reached (\d+)", said),
        complete=whole and not any(mark in said for mark in spoilt),
        unreached=tuple(what for what in _UNREACHED.findall(said) if what != '"-end-"'),
    )


def judge(case: Case, search: Search, broken: str | None) -> tuple[str, bool]:
    """Say in words what a search has shown, and whether the case asked for that."""
    if search.errors:
        return f"breaks {broken}", broken is not None and broken == case.breaks
    if not search.complete or search.states == 0:
        return "not exhaustive", False
    if case.safe and search.unreached:
        return f"holds, but {len(search.unreached)} steps are never taken", False
    return "holds", case.safe


def _build(spin: str, compiler: str, case: Case, place: Path) -> None:
    search = () if case.safe else ("-DBFS",)
    limits = ("-DSAFETY", f"-DMEMLIM={MAX_MEMORY_MB}")
    for made_before in ("pan", "pan.c"):
        (place / made_before).unlink(missing_ok=True)
    generate = (_preprocessor(compiler), *_macros(case), "-a", str(MODEL))
    said = _run(place, BUILD_TIMEOUT_S, spin, *generate)
    if not (place / "pan.c").exists() or "Error" in said:
        raise BuildFailed(said)
    said = _run(place, BUILD_TIMEOUT_S, compiler, "-O2", *limits, *search, "-o", "pan", "pan.c")
    if not (place / "pan").exists():
        raise BuildFailed(said)


def _broken_claim(spin: str, compiler: str, case: Case, place: Path) -> str | None:
    """Replay the trail up to the assertion; its comment in the model names the claim."""
    trail = f"{MODEL.name}.trail"
    replay = (_preprocessor(compiler), *_macros(case), "-k", trail, str(MODEL))
    said = _run(place, BUILD_TIMEOUT_S, spin, *replay)
    found = _PLACE.search(said)
    if found is None:
        return None
    line = Path(place, found[1]).read_text().splitlines()[int(found[2]) - 1]
    claim = _CLAIM.search(line)
    return claim[1] if claim else None


def _preprocessor(compiler: str) -> str:
    """Return the option without which Spin would ask for a compiler called gcc."""
    return f"-P{compiler} -E -x c"


def _macros(case: Case) -> tuple[str, ...]:
    return (f"-D{case.macro}",) if case.macro else ()


def _run(place: Path, limit_s: int, *command: str) -> str:
    """Return all it printed; a program that takes too long says so at the end."""
    try:
        ended = subprocess.run(
            command,
            cwd=place,
            check=False,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return f"timed out after {limit_s} s"
    return ended.stdout


def _number(pattern: str, said: str) -> int:
    found = re.search(pattern, said)
    return int(float(found[1])) if found else 0
