"""Results of trials, one JSON line each, with the commit they were made at.

Lines are only ever added. Those of another commit are not counted, and of two lines about the same
trial the later one stands. Several shards may add to one file at a time.
"""

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.harness.world import ROOT

FOLDER = ROOT / "var" / "trials"
SOURCES = ("proxy", "credentials", "policies", "tests", "pyproject.toml", "requirements.lock")

Figures = Mapping[str, float | Sequence[float]]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one trial. No problem means that everything held."""

    commit: str
    name: str
    row: str
    seconds: float
    problems: Sequence[str] = ()
    figures: Figures = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return not self.problems


class Kept:
    """The results of one table at one commit."""

    def __init__(self, file: Path, commit: str) -> None:
        self._file = file
        self.commit = commit

    def read(self) -> dict[str, Result]:
        """Return the last result of each trial by its name; a line cut short is no result."""
        found: dict[str, Result] = {}
        if not self._file.exists():
            return found
        for line in self._file.read_text().splitlines():
            try:
                members = json.loads(line)
            except ValueError:
                continue
            if members.get("commit") == self.commit:
                found[members["name"]] = Result(**members)
        return found

    def add(self, result: Result) -> None:
        """Write one down."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def kept(name: str, folder: Path = FOLDER) -> Kept:
    """Return what is kept of a table at the commit that is checked out."""
    return Kept(folder / f"{name}.jsonl", commit_of())


def commit_of(root: Path = ROOT) -> str:
    """Return what is checked out; sources that differ from the commit add a digest of their own.

    Where there is no repository it is `unversioned`, always.
    """
    head = _git(root, "rev-parse", "--short=12", "HEAD").decode().strip() or "unversioned"
    changed = _git(root, "diff", "HEAD", "--", *SOURCES)
    others = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", *SOURCES)
    named = (root / name for name in others.decode().split("\0") if name)
    files = [file for file in named if file.is_file()]
    if not changed and not files:
        return head
    digest = hashlib.sha256(changed)
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"{head}+{digest.hexdigest()[:8]}"


def _git(root: Path, *arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else b""
