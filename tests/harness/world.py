"""What a gateway under test is started with: policies, tools, tokens, settings."""

import copy
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from proxy.model.token import TokenKind, new_token, token_sha256

ROOT = Path(__file__).parents[2]

TEXT = {"type": "string"}
ECHO_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"text": TEXT, "n": {"type": "number"}, "data": {}},
}
WRITE_ALL = ["text", "n", "data"]
ECHO: dict[str, Any] = {"body": WRITE_ALL, "input_schema": ECHO_SCHEMA}


def http_tool(method: str, path: str, effect: str, **more: Any) -> dict[str, Any]:
    """Return a manifest entry of an HTTP tool."""
    http: dict[str, Any] = {"method": method, "path": path}
    placed = ("query", "body", "headers", "names", "route")
    http |= {key: more.pop(key) for key in placed if key in more}
    return {
        "effect": effect,
        "recovery": "probe",
        "risk": 1,
        "timeout": "20s",
        "returns": "trusted",
        "credential": {"broker": "none"},
        "description": f"{method} {path}",
        "input_schema": {"type": "object", "additionalProperties": False, "properties": {}},
        "http": http,
    } | more


REC_TOOLS: dict[str, Any] = {
    "write": http_tool("POST", "/write", "write", **ECHO),
    "opaque": http_tool("POST", "/write", "write", recovery="opaque", route=False, **ECHO),
    "read": http_tool("GET", "/read", "read"),
    "get_with_effect": http_tool("GET", "/trigger", "write"),
    "hold": http_tool("POST", "/hold", "write", **ECHO),
    "hold_read": http_tool("GET", "/hold", "read"),
    "drop": http_tool("POST", "/drop", "irreversible", **ECHO),
    "leak": http_tool("GET", "/leak", "read", returns="untrusted"),
    "item": http_tool(
        "GET",
        "/items/{id}",
        "read",
        input_schema={
            "type": "object",
            "additionalProperties": False,
            "properties": {"id": TEXT},
            "required": ["id"],
        },
    ),
}


@dataclass
class World:
    """What a gateway is started with; a test changes it before the start."""

    directory: Path
    recorder_url: str
    tools: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"rec": copy.deepcopy(REC_TOOLS)}
    )
    roles: dict[str, Any] = field(default_factory=lambda: {"tester": {"tools": ["*/*"]}})
    budgets: dict[str, Any] = field(
        default_factory=lambda: {
            "default": {"session_risk": 100_000, "agent_risk": 1_000_000, "window_s": 3600}
        }
    )
    settings: dict[str, Any] = field(default_factory=dict)
    servers: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("proxy",)
    deadline: str = "2s"
    agent_token: str = field(default_factory=lambda: new_token(TokenKind.AGENT))
    other_token: str = field(default_factory=lambda: new_token(TokenKind.AGENT))
    operator_token: str = field(default_factory=lambda: new_token(TokenKind.OPERATOR))

    @property
    def bundle(self) -> Path:
        """Where the policies are."""
        return self.directory / "policies"

    @property
    def database(self) -> Path:
        """Where the ledger is."""
        return self.directory / "var" / "detent.db"

    def write(self) -> Path:
        """Write bundle and settings; return the settings file."""
        if not self.bundle.exists():
            shutil.copytree(
                ROOT / "policies", self.bundle, ignore=shutil.ignore_patterns("tools", "suites")
            )
        for server, tools in self.tools.items():
            self.data(f"tools/{server}", tools)
        self.data("roles", self.roles)
        self.data("budgets", self.budgets)
        file = self.directory / "detent.yaml"
        file.write_text(yaml.safe_dump(self._settings()))
        return file

    def data(self, place: str, value: Mapping[str, Any]) -> None:
        """Write one `data.yaml` of the bundle."""
        folder = self.bundle / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data.yaml").write_text(json.dumps(dict(value)))

    def _identity(self) -> dict[str, Any]:
        agents = [("tester", "acme", self.agent_token), ("other", "globex", self.other_token)]
        roles = ["kill", "lift", "view", "approve", "policy", "evaluate", "pull"]
        operator = {"name": "oncall", "roles": roles, "tenants": ["*"]}
        return {
            "agents": [
                {
                    "name": name,
                    "tenant": tenant,
                    "roles": ["tester"],
                    "token_sha256": token_sha256(token),
                }
                for name, tenant, token in agents
            ],
            "operators": [operator | {"token_sha256": token_sha256(self.operator_token)}],
        }

    def _settings(self) -> dict[str, Any]:
        return {
            "store": "sqlite:///var/detent.db",
            "listen": {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0"},
            "policy": {"bundle": "policies", "deadline": self.deadline},
            "identity": self._identity(),
            "servers": {
                "rec": {"http": {"base_url": self.recorder_url}, "allow_private": True},
                **self.servers,
            },
            "drain": "2s",
        } | self.settings
