"""The tool manifests, budgets and reasons of a bundle, strictly read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jsonschema_rs

from proxy.errors import PolicyInvalid
from proxy.model.ledger import Limits
from proxy.model.tool import (
    Condition,
    CredentialRule,
    Effect,
    HttpBinding,
    Match,
    Probe,
    Recovery,
    ToolManifest,
)
from proxy.pdp.draft import draft_manifest
from proxy.pdp.manifest_problems import problems_of_probes, problems_of_routes, problems_of_tool
from proxy.pdp.strict_yaml import load

__all__ = ["Catalogue", "draft_manifest", "load_catalogue"]

DATA_NAMES = ("data.yaml", "data.json")
SCHEMA = Path(__file__).with_name("data.schema.json")
MAX_SENTENCE_CHARS = 300
DEFAULT_TIMEOUT = "20s"

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0}
_SCHEMA_DOCUMENT = json.loads(SCHEMA.read_text())
_VALIDATOR = jsonschema_rs.validator_for(_SCHEMA_DOCUMENT)
FORMS = "<root>/data.yaml or tools/<server>/data.yaml"
ROOTS = frozenset(_SCHEMA_DOCUMENT["properties"])


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the gateway itself reads of a bundle.

    `tools` by server and tool; `agents` holds the budgets of `tenant/agent` that differ from
    `default`; `reasons` has the sentence of every reason the policies name, `workspaces` the path
    of every workspace manifests name as `$name`.
    """

    tools: Mapping[tuple[str, str], ToolManifest]
    default: Limits
    agents: Mapping[str, Limits]
    reasons: Mapping[str, str]
    workspaces: Mapping[str, str]

    def limits(self, tenant: str, agent: str) -> Limits:
        """Return an agent's budgets."""
        return self.agents.get(f"{tenant}/{agent}", self.default)


def load_catalogue(directory: Path) -> Catalogue:
    """Read and check the data of a bundle. Raises PolicyInvalid with one line a problem."""
    data = _read(directory)
    problems = [
        f"{_place(list(error.instance_path))}{error.message[:MAX_SENTENCE_CHARS]}"
        for error in _VALIDATOR.iter_errors(data)
    ]
    problems = problems or [
        f"tools/{server}: {name}: {problem}"
        for server, tools in data["tools"].items()
        for name, entry in tools.items()
        for problem in problems_of_tool(name, entry, data.get("workspaces", {}))
    ]
    problems = problems or [
        f"tools/{server}: {name}: {problem}"
        for server, tools in data["tools"].items()
        for name, problem in (*problems_of_routes(tools), *problems_of_probes(tools))
    ]
    if problems:
        raise PolicyInvalid("\n".join(sorted(problems)))
    budgets = data["budgets"]
    agents = {name: Limits(**limits) for name, limits in budgets.get("agents", {}).items()}
    return Catalogue(
        tools=MappingProxyType(_manifests(data["tools"])),
        default=Limits(**budgets["default"]),
        agents=MappingProxyType(agents),
        reasons=MappingProxyType(data.get("reasons", {})),
        workspaces=MappingProxyType(data.get("workspaces", {})),
    )


def _read(directory: Path) -> dict[str, Any]:
    """Return the data of each root, `tools` by server. Raises PolicyInvalid."""
    data: dict[str, Any] = {"tools": {}}
    files = (path for path in directory.glob("*/**/data.*") if path.name in DATA_NAMES)
    for file in sorted(files):
        name = file.relative_to(directory).as_posix()
        folders = name.split("/")[:-1]
        if folders[0] not in ROOTS:
            continue
        depth = 2 if folders[0] == "tools" else 1
        block = data["tools"] if folders[0] == "tools" else data
        if len(folders) != depth or folders[-1] in block:
            raise PolicyInvalid(f"{name}: not where Detent reads it. Cure: one file, {FORMS}")
        block[folders[-1]] = load(file.read_bytes(), name)
    return data


def _place(path: list[str | int]) -> str:
    """Turn a path such as tools, repo, git_log, risk into `tools/repo: git_log.risk: `."""
    folders = 2 if path[:1] == ["tools"] else 1
    file = "/".join(str(part) for part in path[:folders])
    inside = ".".join(str(part) for part in path[folders:])
    return "".join(f"{part}: " for part in (file, inside) if part)


def _manifests(servers: Mapping[str, Any]) -> dict[tuple[str, str], ToolManifest]:
    return {
        (server, name): _manifest(server, name, entry)
        for server, tools in servers.items()
        for name, entry in tools.items()
    }


def _manifest(server: str, name: str, entry: dict[str, Any]) -> ToolManifest:
    return ToolManifest(
        server=server,
        tool=name,
        effect=Effect(entry["effect"]),
        pin=entry.get("pin", ""),
        recovery=Recovery(entry.get("recovery", Recovery.OPAQUE)),
        risk=entry["risk"],
        timeout_s=_seconds(entry.get("timeout", DEFAULT_TIMEOUT)),
        sinks=tuple(entry.get("sinks", ())),
        untrusted=entry.get("returns") != "trusted",
        credential=_credential(entry.get("credential", {})),
        undo=entry.get("undo"),
        http=_binding(entry) if "http" in entry else None,
        document=entry,
        hooks=entry.get("hooks", False),
        probe=_probe(entry["probe"]) if "probe" in entry else None,
    )


def _probe(recipe: dict[str, Any]) -> Probe:
    return Probe(
        tool=recipe["tool"],
        arguments=tuple(sorted(recipe.get("arguments", {}).items())),
        expect=tuple(map(_condition, recipe["expect"])),
        absent=tuple(map(_condition, recipe.get("absent", ()))),
    )


def _condition(entry: dict[str, Any]) -> Condition:
    match = next(known for known in Match if known in entry)
    value = entry[match]
    return Condition(entry["at"], match, json.dumps(value) if match is Match.EQUALS else value)


def _seconds(timeout: str) -> float:
    number = timeout.rstrip("ms")
    return int(number) * _UNITS_S[timeout.removeprefix(number)]


def _credential(rule: dict[str, Any]) -> CredentialRule:
    return CredentialRule(
        broker=rule.get("broker", "none"),
        audience=rule.get("audience", ""),
        ceiling=tuple(rule.get("ceiling", ())),
    )


def _binding(entry: dict[str, Any]) -> HttpBinding:
    http = entry["http"]
    return HttpBinding(
        method=http["method"],
        path=http["path"],
        query=tuple(http.get("query", ())),
        body=tuple(http.get("body", ())),
        input_schema=json.dumps(entry["input_schema"], sort_keys=True).encode(),
        description=entry["description"],
        headers=tuple(http.get("headers", ())),
        names=tuple(sorted(http.get("names", {}).items())),
        is_routed=http.get("route", True),
    )
