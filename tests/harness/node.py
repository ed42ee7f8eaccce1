"""The Node and the npm packages that `make conformance` and `make test` install into .tools."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tests.harness.world import ROOT

INSTALLED = ROOT / ".tools/conformance/node_modules"
OLDEST = 22
MISSING = "run `make conformance` once, with npm installed: "
SUITE = INSTALLED / "@modelcontextprotocol/conformance/dist/index.js"
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}


class NotInstalled(Exception):
    """Something of npm is missing; the message says what to do."""


def node() -> str:
    """Return the Node we installed, or one on PATH that is new enough. Raises NotInstalled."""
    machine = platform.machine().lower()
    own = INSTALLED / f"node-{sys.platform}-{_MACHINES.get(machine, machine)}/bin/node"
    if own.exists():
        return str(own)
    found = shutil.which("node")
    if found is not None and _major(found) >= OLDEST:
        return found
    raise NotInstalled(MISSING + f"there is no Node {OLDEST} or newer")


def command(script: Path, *arguments: str) -> list[str]:
    """Return the command that runs an installed script. Raises NotInstalled."""
    if not script.exists():
        raise NotInstalled(MISSING + f"{script.relative_to(INSTALLED)} is not there")
    return [node(), str(script), *arguments]


def mcp_server(name: str, *arguments: str) -> list[str]:
    """Return the command of one of the reference MCP servers. Raises NotInstalled."""
    return command(INSTALLED / f"@modelcontextprotocol/server-{name}/dist/index.js", *arguments)


def _major(found: str) -> int:
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    number = said.lstrip("v").partition(".")[0]
    return int(number) if number.isdigit() else 0
