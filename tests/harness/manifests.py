"""Manifests of real servers, as a person gets them: `detent tools import`, then a review."""

import os
from typing import Any

import yaml
from mcp.client.client import Client

from proxy.app.checks import definitions_of
from proxy.config import load_settings
from proxy.pdp.draft import draft_manifest
from tests.harness.world import World

ASKED_OF_CLIENTS = ("elicitation/create", "roots/list", "sampling/createMessage")
BY_CAPABILITY = {
    "completions": ("completion/complete",),
    "logging": ("logging/setLevel",),
    "prompts": ("prompts/get", "prompts/list"),
    "resources": (
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "resources/templates/list",
        "resources/unsubscribe",
    ),
    "io.modelcontextprotocol/tasks": ("tasks/cancel", "tasks/get", "tasks/update"),
}
ALL_TOOLS = ["*/*", "*/*/*", "*/*/*/*"]  # a star of a pattern does not match a slash


async def drafted(world: World, server: str) -> dict[str, Any]:
    """Return the manifest that `detent tools import` drafts for a server of this world."""
    environ = {**os.environ, **world.environ}
    settings = load_settings(world.write(), environ)
    definitions = await definitions_of(settings, environ, server)
    manifest: dict[str, Any] = yaml.safe_load(draft_manifest(server, definitions))
    return manifest


def harmless(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest with every tool reviewed as a read that may be believed."""
    reviewed = {"effect": "read", "risk": 0, "returns": "trusted"}
    return {name: entry | reviewed for name, entry in manifest.items()}


def methods(*names: str) -> dict[str, Any]:
    """Return harmless entries for methods of MCP besides tools/call."""
    return {name: {"effect": "read", "risk": 0, "returns": "trusted"} for name in names}


async def declared(url: str) -> dict[str, Any]:
    """Return entries for every method that the server at a URL says it has, and may ask for."""
    async with Client(url, mode="auto") as client:
        capabilities = client.server_capabilities
    known = [*capabilities.model_dump(exclude_none=True), *(capabilities.extensions or {})]
    offered = (name for one in known for name in BY_CAPABILITY.get(one, ()))
    return methods(*offered, *ASKED_OF_CLIENTS)
