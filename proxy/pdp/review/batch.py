"""Many inputs, one bundle, one `opa eval` for hundreds of them: how policies are reviewed.

`with input as x` evaluates each input by itself. A builtin that fails, or a rule without an end,
ends the whole run; then the halves are asked, until what failed stands alone.
"""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from proxy.errors import PolicyInvalid
from proxy.pdp.capabilities import CAPABILITIES

CHUNK = 500
DEADLINE_S = 5.0
INPUT_DEADLINE_S = 0.05
GRACE_S = 10.0
MAX_FAILED_RUNS = 24
MAX_FAILING_S = 120.0
MAX_TOLD_CHARS = 300

# A batch is short: less collecting of garbage is worth more than the memory.
_ENVIRONMENT = {"GOGC": "800"}


@dataclass(frozen=True, slots=True)
class Unanswered:
    """No answer; the gateway denies then.

    What does not stand `alone` was never asked by itself: something beside it may have failed.
    """

    why: str
    is_alone: bool = True


@dataclass(slots=True)
class Evaluation:
    """Asks one staged bundle for the `value` of a Rego term, with as many inputs as one likes.

    `directory` is that of the staged bundle. One run of OPA has `deadline_s`, and INPUT_DEADLINE_S
    for each of its inputs. After MAX_FAILED_RUNS that took MAX_FAILING_S together, no half is tried
    alone any more: what is in a failing run then was not asked.
    """

    opa: Path
    directory: Path
    value: str
    deadline_s: float = DEADLINE_S
    failed_runs: int = field(default=0, init=False)
    failing_s: float = field(default=0.0, init=False)

    def answers(self, inputs: Sequence[dict[str, Any]]) -> list[Any]:
        """Return an answer for each input: its value, None when undefined, or Unanswered.

        Blocks. Raises PolicyInvalid when OPA cannot be run.
        """
        return self._answers([json.dumps(one, separators=(",", ":")) for one in inputs])

    def _answers(self, inputs: list[str]) -> list[Any]:
        if not inputs:
            return []
        document = f"[{','.join(inputs)}]".encode("utf-8", "backslashreplace")
        started = time.monotonic()
        answered = self._run(document, self.deadline_s + INPUT_DEADLINE_S * len(inputs))
        if not isinstance(answered, Unanswered):
            return [answered.get(number) for number in range(len(inputs))]
        self.failed_runs += 1
        self.failing_s += time.monotonic() - started
        if len(inputs) == 1:
            return [answered]
        if self.failed_runs > MAX_FAILED_RUNS and self.failing_s > MAX_FAILING_S:
            return [replace(answered, is_alone=False)] * len(inputs)
        half = len(inputs) // 2
        return self._answers(inputs[:half]) + self._answers(inputs[half:])

    def _run(self, document: bytes, deadline_s: float) -> dict[int, Any] | Unanswered:
        """Return the defined values by number. Raises PolicyInvalid."""
        query = f"[[i, d] | some i, x in input; d := {self.value} with input as x]"
        arguments = (
            "eval", "--bundle", ".", "--stdin-input", "--format", "json",
            "--strict-builtin-errors", "--capabilities", str(CAPABILITIES),
            "--timeout", f"{deadline_s:g}s", query,
        )  # fmt: skip
        done = _opa(self.opa, self.directory, arguments, document, deadline_s)
        try:
            read = json.loads(done.stdout)
            if done.returncode == 0:
                return dict(read["result"][0]["expressions"][0]["value"])
            problem = read["errors"][0]["message"]
        except (ValueError, LookupError, TypeError):
            problem = done.stderr.decode(errors="replace").strip() or "OPA said nothing"
        return Unanswered(str(problem)[:MAX_TOLD_CHARS])


def _opa(
    opa: Path, directory: Path, arguments: tuple[str, ...], given: bytes, deadline_s: float
) -> subprocess.CompletedProcess[bytes]:
    command = [str(opa.absolute()), *arguments]
    try:
        return subprocess.run(  # noqa: S603 the configured program, our query, no shell
            command,
            cwd=directory,
            env=_ENVIRONMENT,
            input=given,
            capture_output=True,
            timeout=deadline_s + GRACE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, b"", b"OPA did not stop in time")
    except OSError as error:
        raise PolicyInvalid(
            f"{opa.name}: cannot be run ({error.strerror}). Cure: set policy.opa"
        ) from None
