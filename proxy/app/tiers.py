"""The tier of each tool: what a kill promises there, from manifest and settings."""

from collections import Counter
from collections.abc import Iterable, Iterator

from proxy.config import Settings
from proxy.model.tool import Tier, ToolManifest

MEANING = {
    Tier.A: "get call tokens that end with the kill lease, for their service to verify (tier A)",
    Tier.B: "could be called late by a frozen process: that is told, not prevented (tier B)",
    Tier.C: "are decided by hooks and run by the agent itself: no fence, no stop (tier C)",
}


def tier_of(manifest: ToolManifest, settings: Settings) -> Tier:
    """Return a tool's tier. A server that is a command has no headers that a token could go in."""
    if manifest.hooks:
        return Tier.C
    broker = settings.credentials.get(manifest.credential.broker)
    server = settings.servers.get(manifest.server)
    if broker is None or broker.jwt is None or server is None:
        return Tier.B
    has_headers = server.http is not None or bool(server.mcp and server.mcp.url)
    return Tier.A if has_headers else Tier.B


def tiers_of(tools: Iterable[ToolManifest], settings: Settings) -> dict[str, Tier]:
    """Return the tiers by `server/tool`."""
    return {one.resource_id: tier_of(one, settings) for one in tools}


def summary(tools: Iterable[ToolManifest], settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each server with tools, and how many of them are of a tier, in words."""
    counts = Counter((one.server, tier_of(one, settings)) for one in tools)
    for (server, tier), count in sorted(counts.items()):
        yield server, f"{count} tools {MEANING[tier]}"
