"""Spin and a C compiler: found on PATH, or Spin unpacked under .tools without installing it.

`python -m tests.model.spin` does the latter where it can, and ends with 2 where it cannot.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools/spin"
FETCH_TIMEOUT_S = 120
CURE = "install the Debian package `spin` (6.5 or newer), or put `spin` on PATH"


class NotInstalled(Exception):
    """Spin or the compiler is missing; the message says what to do."""


def find_spin(tools: Path = TOOLS) -> str:
    """Return Spin, the one on PATH first. Raises NotInstalled."""
    found = shutil.which("spin") or shutil.which(tools / "usr/bin/spin")
    if found is None:
        raise NotInstalled(f"spin is not installed: {CURE}, or run `make model` on Debian")
    return str(found)


def find_compiler() -> str:
    """Return the C compiler. Raises NotInstalled."""
    found = shutil.which("cc") or shutil.which("gcc")
    if found is None:
        raise NotInstalled("no C compiler: Spin's verifier is a C program; install `gcc`")
    return found


def fetch_spin(tools: Path = TOOLS) -> str:
    """Return Spin; where there is none, unpack Debian's package here. Raises NotInstalled."""
    try:
        return find_spin(tools)
    except NotInstalled:
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise
    tools.mkdir(parents=True, exist_ok=True)
    _run(tools, "apt-get", "download", "--quiet", "spin")
    packages = sorted(tools.glob("spin_*.deb"))
    if packages:
        _run(tools, "dpkg", "-x", packages[-1].name, ".")
    return find_spin(tools)


def _run(directory: Path, *command: str) -> None:
    """Run it; what fails shows in what is found afterwards."""
    try:
        subprocess.run(
            command, cwd=directory, capture_output=True, check=False, timeout=FETCH_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return


def main() -> int:
    """Have Spin at hand; return the exit code."""
    try:
        sys.stdout.write(f"{fetch_spin()}\n")
    except NotInstalled as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
