"""Record the decision log of examples/policy-repo: real calls, a real gateway, a real git server.

`python -m examples.policy_log.record --out examples/policy-repo/log/decisions.jsonl.gz`. The
workspace of the policies, /srv/detent/scratch, must not exist; it is made, and removed at the end.
"""

import argparse
import asyncio
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from examples.demo.world import free_port
from examples.policy_log.calls import APP, SCRATCH, Call, calls
from proxy.model.token import TokenKind, new_token, token_sha256

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
REPOSITORY = ROOT / "examples" / "policy-repo"
ROLES = {"nightly-loop": "maintainer", "fixer": "maintainer", "reviewer": "reader"}
MODES = ("read_only", "dry_run")
AT_ONCE = 8


def main() -> None:
    """Record, and say how much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--calls", type=int, default=5_600)
    asked, began = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory() as directory, workspace(Path(SCRATCH), Path(APP)):
        world = World(Path(directory))
        seen = asyncio.run(world.record(asked.calls))
        lines = world.log()
    asked.out.write_bytes(gzip.compress(b"".join(lines), 9, mtime=0))
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(seen.items()))
    print(f"{len(lines)} decisions of {asked.calls} calls ({told})")
    print(f"{time.monotonic() - began:.0f} s, {asked.out.stat().st_size // 1024} KiB")


@contextmanager
def workspace(scratch: Path, repository: Path) -> Iterator[None]:
    """Make the directory the policies speak of, with a repository in it."""
    if scratch.exists():
        raise SystemExit(f"{scratch} exists; remove it first")
    made = next(one for one in (*reversed(scratch.parents), scratch) if not one.exists())
    try:
        for name in ("src", "docs", "tests"):
            (repository / name).mkdir(parents=True)
        for file in ("src/parser.py", "docs/usage.md", "README.md"):
            (repository / file).write_text("text\n")
        for words in (
            ("init", "-q", "-b", "main"),
            ("config", "user.email", "loop@example.org"),
            ("config", "user.name", "nightly-loop"),
            ("add", "."),
            ("commit", "-q", "-m", "begin"),
            ("commit", "-q", "--allow-empty", "-m", "go on"),
        ):
            subprocess.run(["git", "-C", str(repository), *words], check=True, capture_output=True)
        yield
    finally:
        shutil.rmtree(made, ignore_errors=True)


class World:
    """A gateway with the policies of the repository, its agents, and its decision log."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._tokens = {name: new_token(TokenKind.AGENT) for name in ROLES}
        self._port = free_port()
        subprocess.run(
            [REPOSITORY / "scripts/assemble.sh", REPOSITORY, directory / "policies"],
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
            check=True,
        )
        (directory / "detent.yaml").write_text(yaml.safe_dump(self._settings()))

    async def record(self, count: int) -> Counter[str]:
        """Make the calls; return how many had which outcome."""
        command = (BIN / "detent", "serve", "--config", self._directory / "detent.yaml")
        log = (self._directory / "detent.log").open("wb")
        gateway = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        log.close()
        try:
            await self._until_up(gateway)
            return await self._all(count)
        finally:
            if gateway.returncode is None:
                gateway.terminate()
            await gateway.wait()

    def log(self) -> list[bytes]:
        """Return the lines of the decision log."""
        files = sorted((self._directory / "decisions").glob("*.jsonl"))
        return [line for file in files for line in file.read_bytes().splitlines(keepends=True)]

    async def _all(self, count: int) -> Counter[str]:
        seen: Counter[str] = Counter()
        waiting = iter(calls(count))
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}", trust_env=False, timeout=60
        ) as http:
            tokens = await self._sessions(http)

            async def work() -> None:
                for call in waiting:
                    answer = await self._made(http, call, tokens[call.agent, call.session])
                    seen[answer] += 1

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return seen

    async def _sessions(self, http: httpx.AsyncClient) -> dict[tuple[str, str], str]:
        """Return the tokens by agent and session; the agent's own is that of the implicit one."""
        tokens = {(name, "implicit"): token for name, token in self._tokens.items()}
        for name, token in self._tokens.items():
            for mode in MODES:
                answer = await http.post("/v1/sessions", json={"mode": mode}, headers=_by(token))
                tokens[name, mode] = answer.raise_for_status().json()["token"]
        return tokens

    async def _made(self, http: httpx.AsyncClient, call: Call, token: str) -> str:
        body = {"server": "repo", "tool": call.tool, "arguments": call.arguments}
        answer = (await http.post("/v1/calls", json=body, headers=_by(token))).json()
        return str(answer.get("outcome") or answer.get("verdict") or answer["code"])

    async def _until_up(self, gateway: asyncio.subprocess.Process) -> None:
        async with asyncio.timeout(120):
            while "operators on http" not in (self._directory / "detent.log").read_text():
                if gateway.returncode is not None:
                    raise SystemExit((self._directory / "detent.log").read_text())
                await asyncio.sleep(0.1)

    def _settings(self) -> dict[str, Any]:
        agents = [
            {"name": name, "tenant": "acme", "roles": [role]}
            | {"token_sha256": token_sha256(self._tokens[name])}
            for name, role in ROLES.items()
        ]
        return {
            "store": f"sqlite:///{self._directory}/detent.db",
            "listen": {
                "agents": f"127.0.0.1:{self._port}",
                "operators": f"127.0.0.1:{free_port()}",
            },
            "policy": {"bundle": "policies", "log": "decisions", "deadline": "5s"},
            "identity": {"agents": agents},
            "servers": {
                "repo": {"mcp": {"command": [str(BIN / "mcp-server-git"), "--repository", APP]}}
            },
        }


def _by(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


if __name__ == "__main__":
    main()
