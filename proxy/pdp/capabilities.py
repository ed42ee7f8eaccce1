"""What a policy may use: OPA's capabilities without everything that cannot be replayed.

`capabilities.json` beside this file is what `narrowed` makes of the oldest OPA we run on; it is
enforced before every load, whatever a bundle brings along.
"""

import json
from pathlib import Path
from typing import Any

CAPABILITIES = Path(__file__).with_name("capabilities.json")
OLDEST_OPA = "v1.21.3"

# Beside what OPA itself calls nondeterministic: these read the clock, make requests look signed,
# or write what they are given to OPA's log.
REFUSED = frozenset(
    {
        "crypto.x509.parse_and_verify_certificates",
        "crypto.x509.parse_and_verify_certificates_with_options",
        "internal.print",
        "print",
        "providers.aws.sign_req",
        "trace",
    }
)


def narrowed(capabilities: dict[str, Any]) -> str:
    """Return OPA's capabilities (its JSON document) as ours: one builtin a line, sorted by name."""
    kept = [
        {"name": builtin["name"], "decl": _plain(builtin["decl"])}
        | {key: builtin[key] for key in ("infix", "relation") if key in builtin}
        for builtin in sorted(capabilities["builtins"], key=lambda builtin: str(builtin["name"]))
        if not (builtin.get("nondeterministic") or builtin.get("deprecated"))
        and builtin["name"] not in REFUSED
    ]
    lines = ",\n".join(_compact(builtin) for builtin in kept)
    rest = {
        "allow_net": [],
        "features": sorted(capabilities["features"]),
        "future_keywords": sorted(capabilities["future_keywords"]),
        "wasm_abi_versions": capabilities["wasm_abi_versions"],
    }
    tail = ",\n".join(f"{_compact(key)}:{_compact(value)}" for key, value in rest.items())
    return f'{{"builtins":[\n{lines}\n],\n{tail}}}\n'


def _plain(declaration: Any) -> Any:
    """Drop the names and descriptions of arguments: they change nothing and often."""
    if isinstance(declaration, list):
        return [_plain(item) for item in declaration]
    if not isinstance(declaration, dict):
        return declaration
    named = {"name", "description"} if isinstance(declaration.get("type"), str) else set()
    return {key: _plain(value) for key, value in declaration.items() if key not in named}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
