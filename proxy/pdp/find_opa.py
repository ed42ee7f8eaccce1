"""Find the `opa` binary, or have Go build it. There is one evaluator and one tested version.

`python -m proxy.pdp.find_opa --install DIR` puts one into DIR/bin unless there is one already.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.errors import ConfigError

OPA_VERSION = "1.22.2"
OPA_MINIMUM = (1, 21, 3)
VERSION_TIMEOUT_S = 20.0
INSTALL_TIMEOUT_S = 900.0
CHECKOUT_TOOLS = Path(__file__).resolve().parents[2] / ".tools" / "bin"
CURE = f"run `make setup`, or install OPA {OPA_VERSION} and name it in policy.opa"

_VERSION = re.compile(r"^Version: (\d+)\.(\d+)\.(\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Opa:
    """An OPA that is new enough."""

    path: Path
    version: tuple[int, int, int]


def find_opa(explicit: Path | None = None, tools_dir: Path = CHECKOUT_TOOLS) -> Opa:
    """Return the first OPA that is new enough: `explicit` alone if given, else PATH, `tools_dir`.

    Raises ConfigError with what was looked at and the cure.
    """
    problems: list[str] = []
    for path in _candidates(explicit, tools_dir):
        version = _version(path)
        if version is not None and version >= OPA_MINIMUM:
            return Opa(path.resolve(), version)
        problems.append(f"policy.opa: {path} is {_told(version)}; {CURE}")
    minimum = ".".join(map(str, OPA_MINIMUM))
    nowhere = f"policy.opa: no opa >= {minimum} on the PATH or in {tools_dir}; {CURE}"
    raise ConfigError(tuple(problems) or (nowhere,))


def ensure_opa(tools_dir: Path) -> Opa:
    """Return an OPA, building the tested version into `tools_dir` with Go when there is none.

    Takes minutes the first time and the network. Raises ConfigError.
    """
    try:
        return find_opa(tools_dir=tools_dir)
    except ConfigError:
        go = shutil.which("go")
        if go is None:
            raise
        _install(go, tools_dir)
    return find_opa(tools_dir / "opa")


def main(arguments: Sequence[str]) -> int:
    """Install OPA where it is missing; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m proxy.pdp.find_opa", description=main.__doc__)
    parser.add_argument("--install", metavar="DIR", type=Path, required=True)
    try:
        opa = ensure_opa(parser.parse_args(arguments).install / "bin")
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    sys.stdout.write(f"{opa.path}\n")
    return 0


def _candidates(explicit: Path | None, tools_dir: Path) -> list[Path]:
    if explicit is not None:
        return [explicit]
    on_path = shutil.which("opa")
    in_tools = shutil.which(tools_dir / "opa")
    return [Path(found) for found in (on_path, in_tools) if found]


def _version(path: Path) -> tuple[int, int, int] | None:
    """Return what `opa version` says, None when it does not run or says something else."""
    try:
        told = subprocess.run(  # noqa: S603  # the operator's own binary
            [path, "version"],
            capture_output=True,
            check=True,
            env={},
            text=True,
            timeout=VERSION_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    match = _VERSION.search(told.stdout)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _told(version: tuple[int, int, int] | None) -> str:
    if version is None:
        return "not a working OPA"
    given, minimum = (".".join(map(str, numbers)) for numbers in (version, OPA_MINIMUM))
    return f"version {given}, at least {minimum} is needed"


def _install(go: str, tools_dir: Path) -> None:
    tools_dir.mkdir(parents=True, exist_ok=True)
    package = f"github.com/open-policy-agent/opa@v{OPA_VERSION}"
    try:
        subprocess.run(  # noqa: S603  # Go's own tool, a constant package
            [go, "install", package],
            check=True,
            env={**os.environ, "GOBIN": str(tools_dir.resolve())},
            timeout=INSTALL_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError((f"policy.opa: `go install {package}` failed; {CURE}",)) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
