"""Running the `opa` command once: explicit environment, bounded time, no shell."""

import subprocess
from pathlib import Path

from proxy.errors import PolicyInvalid


def run_opa(
    opa: Path, directory: Path, arguments: tuple[str, ...], timeout_s: float, target: str = "."
) -> subprocess.CompletedProcess[bytes]:
    """Run `opa <arguments> <target>` in the directory, whatever it exits with.

    Raises PolicyInvalid when it cannot be started or takes too long.
    """
    try:
        return subprocess.run(  # noqa: S603 the configured program, fixed arguments, no shell
            [str(opa.absolute()), *arguments, target],
            cwd=directory,
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        raise PolicyInvalid(
            f"{opa.name}: cannot be run ({error.strerror}). Cure: set policy.opa"
        ) from None
    except subprocess.TimeoutExpired:
        raise PolicyInvalid(
            f"opa {arguments[0]} took more than {timeout_s:g} s. Cure: make the policies smaller"
        ) from None
