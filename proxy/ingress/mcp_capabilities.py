"""What both sides of MCP can do: what clients are told, and what they have to have declared.

Servers are offered as the manifest has them, whatever they say of themselves.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from proxy.model.mcp import Era

LOG_LEVELS = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)
TASKS_EXTENSION = "io.modelcontextprotocol/tasks"

# Requests that servers send and clients answer; from a client they are no methods.
SERVERS_REQUESTS = {
    "elicitation/create": "elicitation",
    "roots/list": "roots",
    "sampling/createMessage": "sampling",
}


def server_capabilities(offered: Collection[tuple[str, str]], era: Era) -> dict[str, Any]:
    """Return the capabilities of an endpoint that offers these methods of these servers."""
    methods = {method for _, method in offered}
    told: dict[str, Any] = {"tools": {"listChanged": True}}
    if methods & {"prompts/list", "prompts/get"}:
        told["prompts"] = {"listChanged": True}
    if methods & {"resources/list", "resources/read", "resources/templates/list"}:
        told["resources"] = {"listChanged": True, "subscribe": "resources/subscribe" in methods}
    if "completion/complete" in methods:
        told["completions"] = {}
    if "logging/setLevel" in methods:
        told["logging"] = {}
    return told | _tasks(methods, era)


def _tasks(methods: set[str], era: Era) -> dict[str, Any]:
    """Return how tasks are told of: each era has methods of its own for them."""
    if era is Era.STATELESS:
        return {"extensions": {TASKS_EXTENSION: {}}} if "tasks/update" in methods else {}
    if "tasks/result" not in methods:
        return {}
    kinds: dict[str, Any] = {kind: {} for kind in ("list", "cancel") if f"tasks/{kind}" in methods}
    return {"tasks": {**kinds, "requests": {"tools": {"call": {}}}}}


def missing_capabilities(
    asked: Iterable[tuple[str, Mapping[str, Any]]], declared: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a client would have to declare to be asked this, as ClientCapabilities.

    `asked` has method and params of each request.
    """
    missing: dict[str, Any] = {}
    for method, params in asked:
        name = SERVERS_REQUESTS.get(method)
        if name is not None and not _has(name, params, declared.get(name)):
            missing.setdefault(name, {}).update(_part(name, params))
    return missing


def _has(name: str, params: Mapping[str, Any], declared: object) -> bool:
    """Whether a client that declared this can be asked; one that names no mode has forms."""
    if not isinstance(declared, dict):
        return False
    part = _part(name, params)
    forms_alone = name == "elicitation" and not part
    return (part.keys() <= declared.keys()) and not (
        forms_alone and "url" in declared and "form" not in declared
    )


def _part(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a capability a request needs beside the capability itself."""
    if name == "elicitation" and params.get("mode") == "url":
        return {"url": {}}
    return {"tools": {}} if name == "sampling" and "tools" in params else {}


def is_logged(level: object, wanted: str) -> bool:
    """Return whether a message of that level is to be told to a client that wants this one on."""
    return level in LOG_LEVELS and LOG_LEVELS.index(str(level)) >= LOG_LEVELS.index(wanted)
