"""Asking OPA whether a staged bundle may be loaded."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from proxy.errors import PolicyInvalid
from proxy.pdp.capabilities import CAPABILITIES
from proxy.pdp.opa_command import run_opa

OPA_TIMEOUT_S = 30.0
MAIN_PACKAGE = "data.detent.main"

_CURES = {
    "rego_parse_error": "correct the syntax; `opa fmt` shows what it reads",
    "rego_type_error": "correct the reference, or take it from the input",
    "rego_compile_error": "correct it; `opa check --strict` repeats this",
    "rego_unsafe_var_error": "give the variable a value before it is used",
    "rego_recursion_error": "a rule must not depend on itself",
}
_CLOSED_PACKAGE = re.compile(r"data\.system(\W|$)")
_UNDEFINED_FUNCTION = "undefined function "


def check(directory: Path, opa: Path) -> None:
    """Refuse a bundle with errors, unreplayable builtins, or packages of OPA's own.

    Raises PolicyInvalid with one line a problem.
    """
    narrowed = ("--capabilities", str(CAPABILITIES))
    arguments = ("check", "--strict", "--bundle", "--format", "json", *narrowed)
    output = run_opa(opa, directory, arguments, OPA_TIMEOUT_S)
    problems = [_problem(error) for error in _document(output).get("errors", [])]
    if problems or output.returncode != 0:
        raise PolicyInvalid("\n".join(problems) or "opa check failed. Cure: run it by hand")
    _check_packages(directory, opa)


def _check_packages(directory: Path, opa: Path) -> None:
    output = run_opa(opa, directory, ("inspect", "--format", "json"), OPA_TIMEOUT_S)
    packages = _document(output).get("namespaces", {})
    if output.returncode != 0 or not isinstance(packages, dict):
        raise PolicyInvalid("the bundle cannot be inspected. Cure: run `opa inspect` on it")
    for package, files in packages.items():
        if _CLOSED_PACKAGE.match(package):
            raise PolicyInvalid(
                f"{files[0]}:1: package {package.removeprefix('data.')} belongs to OPA itself. "
                "Cure: name it under `detent`"
            )
    if MAIN_PACKAGE not in packages:
        raise PolicyInvalid("main.rego: package detent.main is missing. Cure: restore main.rego")


def _problem(error: dict[str, Any]) -> str:
    message = str(error.get("message", "unknown")).removeprefix("bundle .: ")
    place = error.get("location") or {}
    cure = _CURES.get(str(error.get("code")), "see policies/README.md")
    if "do not permit" in message:
        cure = "add its root to .manifest, or move it"
    if message.startswith(_UNDEFINED_FUNCTION):
        name = message.removeprefix(_UNDEFINED_FUNCTION)
        message = f"{name} does not exist here"
        cure = "decisions must be replayable: no calls out, no clock, no dice; use the input"
    where = f"{place['file']}:{place['row']}: " if "file" in place else ""
    return f"{where}{message}. Cure: {cure}"


def _document(output: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """Return what OPA printed as JSON; of what fails, errors on stderr, as JSON or as text."""
    text = output.stdout if output.returncode == 0 else output.stderr
    try:
        document = json.loads(text or b"{}")
    except ValueError:
        problem = text.decode(errors="replace").strip().removeprefix("error: ")[:500]
        document = {"errors": [{"message": problem}]}
    return document if isinstance(document, dict) else {}
