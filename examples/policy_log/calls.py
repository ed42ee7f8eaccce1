"""The calls of a week, made up: agents do their work, and sometimes what they must not."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SCRATCH = "/srv/detent/scratch"
APP = f"{SCRATCH}/app"

_SOURCES = [f"src/{name}.py" for name in ("parser", "lexer", "cli", "store", "model", "errors")]
_FILES = [*_SOURCES, "README.md", "docs/usage.md", "tests/test_parser.py", "deployment.md"]
_PROTECTED = [
    "deploy/production.yaml",
    "deploy/staging.yaml",
    "Deploy/production.yaml",
    "vendor/lib/deploy/x.yaml",
    "infra/network.tf",
    ".github/workflows/release.yml",
    ".github/CODEOWNERS",
]
_OUTSIDE = ["../secrets.txt", "/etc/passwd", "~/.ssh/id_ed25519", "src/../../x"]
_PLACES = [SCRATCH, f"{SCRATCH}-old/app", f"{SCRATCH}/../keys", "/etc", "/srv/detent"]
_REVISIONS = ["HEAD", "main", "HEAD~1"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call: by whom, in which session (`implicit`, `read_only`, `dry_run`), of which tool."""

    agent: str
    session: str
    tool: str
    arguments: dict[str, Any] = field(default_factory=dict)


def calls(count: int, seed: int = 7) -> Iterator[Call]:
    """Yield that many calls, each time the same."""
    chance = random.Random(seed)
    for _ in range(count):
        agent = chance.choices(("nightly-loop", "fixer", "reviewer"), (5, 3, 4))[0]
        session = chance.choices(("implicit", "read_only", "dry_run"), (8, 1, 2))[0]
        tool, arguments = _work(chance, writes=agent != "reviewer" or chance.random() < 0.1)
        place = APP if chance.random() < 0.93 else chance.choice(_PLACES)
        yield Call(agent, session, tool, {"repo_path": place, **arguments})


def _work(chance: random.Random, *, writes: bool) -> tuple[str, dict[str, Any]]:
    """Return a tool and what it is called with."""
    if writes and chance.random() < 0.45:
        return _change(chance)
    tool = chance.choices(("git_status", "git_log", "git_show", "git_branch", "git_diff"), k=1)[0]
    arguments: dict[str, dict[str, Any]] = {
        "git_status": {},
        "git_log": {"max_count": chance.choice((1, 5, 10, 20, 50, 200, 201, 500))},
        "git_show": {"revision": chance.choice(_REVISIONS)},
        "git_branch": {"branch_type": chance.choice(("local", "all", "remote", "stash"))},
        "git_diff": {"target": chance.choice(_REVISIONS), "context_lines": chance.choice((3, 9))},
    }
    return tool, arguments[tool]


def _change(chance: random.Random) -> tuple[str, dict[str, Any]]:
    tool = chance.choices(("git_add", "git_commit", "git_create_branch"), (6, 3, 1))[0]
    if tool == "git_commit":
        return tool, {
            "message": f"Fix the {chance.choice(_SOURCES)[4:-3]}, part {chance.randint(1, 99)}"
        }
    if tool == "git_create_branch":
        return tool, {"branch_name": f"fix-{chance.randint(1, 400)}"}
    files = chance.sample(_FILES, chance.randint(1, 3))
    if chance.random() < 0.15:
        files.append(chance.choice(_PROTECTED))
    if chance.random() < 0.06:
        files.append(chance.choice(_OUTSIDE))
    return tool, {"files": files}
