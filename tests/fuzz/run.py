"""Fuzz every target: `python -m tests.fuzz.run --seconds 60`. Exit code 1 when one has failed.

The seconds are those of the clock, for all targets together. Inputs that fail are kept in var/fuzz,
ready to be replayed: `python -m tests.fuzz.one <target> <file>`. With --keep, the shortest of those
that reached new code go into the corpus.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
FAILED = ROOT / "var" / "fuzz"
MAX_INPUT_BYTES = 4_096
MAX_KEPT = 20
MAX_KEPT_BYTES = 512
SLOW_INPUT_S = 10
START_S = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a target ended: what libFuzzer said last."""

    target: str
    ok: bool
    said: str


def main() -> int:
    """Run all targets, two at a time on two cores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--keep", action="store_true", help="add to the corpus")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.stdout.write("atheris is not installed (it is for Linux on x86-64): nothing fuzzed\n")
        return 0
    targets = sorted(one.name for one in CORPUS.iterdir())
    jobs = min(os.cpu_count() or 1, len(targets))
    each_s = max(1, options.seconds * jobs // len(targets))
    FAILED.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(partial(fuzz, each_s, keep=options.keep), targets))
    for one in outcomes:
        sys.stdout.write(f"{'ok' if one.ok else 'FAILED':6} {one.target:15} {one.said}\n")
    return 0 if all(one.ok for one in outcomes) else 1


def fuzz(seconds: int, target: str, *, keep: bool) -> Outcome:
    """Fuzz one target in a child process; new inputs go to a directory of their own."""
    corpus = CORPUS / target
    with tempfile.TemporaryDirectory() as found:
        limits = (
            f"-max_total_time={seconds}",
            f"-max_len={MAX_INPUT_BYTES}",
            f"-timeout={SLOW_INPUT_S}",
            f"-artifact_prefix={FAILED}/{target}-",
        )
        ended = _child(target, seconds + START_S, *limits, found, str(corpus))
        if keep:
            _keep(Path(found), corpus)
    lines = ended.stderr.decode(errors="replace").splitlines()
    said = [line for line in lines if line.startswith(("Done ", "==", "SUMMARY", "AssertionError"))]
    return Outcome(target, ended.returncode == 0, said[-1] if said else "".join(lines[-1:]))


def _keep(found: Path, corpus: Path) -> None:
    """Copy the shortest new inputs; libFuzzer names a file by the hash of its content."""
    files = sorted(found.iterdir(), key=lambda file: (file.stat().st_size, file.name))
    for file in files[:MAX_KEPT]:
        if file.stat().st_size <= MAX_KEPT_BYTES:
            shutil.copyfile(file, corpus / file.name)


def _child(target: str, limit_s: int, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tests.fuzz.one", target, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, timeout=limit_s, check=False)


if __name__ == "__main__":
    sys.exit(main())
