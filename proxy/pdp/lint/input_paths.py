"""Parts of the input that do not exist: a rule that reads one is undefined, and refuses nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

from proxy.errors import PolicyInvalid
from proxy.pdp.capabilities import CAPABILITIES
from proxy.pdp.findings.finding import Finding
from proxy.pdp.opa_command import run_opa

UNKNOWN_INPUT = "input-unknown"
SCHEMA = Path(__file__).with_name("input.schema.json")
CHECK_TIMEOUT_S = 30.0
MAX_ERRORS = "1000"

_UNDEFINED = "undefined ref: "


def unknown_inputs(directory: Path, opa: Path) -> Iterator[Finding]:
    """Yield each reference that leads past what a call's input has, by any name it was given.

    OPA's own type check against SCHEMA; what agents and manifests choose is open there. Raises
    PolicyInvalid when OPA cannot be asked.
    """
    arguments = (
        "check", "--bundle", "--format", "json", "--max-errors", MAX_ERRORS,
        "--ignore", "*_test.rego", "--capabilities", str(CAPABILITIES), "--schema", str(SCHEMA),
    )  # fmt: skip
    done = run_opa(opa, directory, arguments, CHECK_TIMEOUT_S)
    try:
        errors = json.loads(done.stderr or done.stdout or b"{}").get("errors") or []
    except ValueError:
        raise PolicyInvalid("opa check failed. Cure: run `opa check --strict` by hand") from None
    for error in errors:
        known = (error.get("details") or {}).get("oneOf")
        if str(error["message"]).startswith(_UNDEFINED) and known:
            place = error["location"]
            problem = f"{error['message'].removeprefix(_UNDEFINED)} does not exist"
            cure = f"it has {', '.join(known)}; except it if no call of ours is decided by it"
            yield Finding(
                place["file"].removeprefix("./"), place["row"], UNKNOWN_INPUT, problem, cure
            )
