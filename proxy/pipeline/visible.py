"""The tools a caller may see: those in the manifest, healthy, and visible by policy."""

import json
from dataclasses import dataclass
from typing import Any

from proxy.model.kill import Scope, ScopeKind
from proxy.model.session import Mode
from proxy.model.tool import ToolDefinition, ToolManifest
from proxy.pdp.decision import DecisionPoint
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.resolve import Resolver


@dataclass(frozen=True, slots=True)
class VisibleTool:
    """A tool as its server defines it, and the server's name."""

    server: str
    definition: ToolDefinition

    @property
    def scope(self) -> Scope:
        """What a kill of this tool covers."""
        return Scope(ScopeKind.TOOL, f"{self.server}/{self.definition.name}")


class Visibility:
    """Filters tools/list by the same policy that decides tools/call."""

    def __init__(self, resolver: Resolver, policy: DecisionPoint) -> None:
        self._resolver = resolver
        self._policy = policy

    async def __call__(
        self, caller: Caller, server: str | None, mode: Mode
    ) -> tuple[VisibleTool, ...]:
        """Return the tools visible in the mode that calls would run in, sorted.

        Raises Refused: policy-unavailable.
        """
        unknown = await self._resolver.unsettled(server)
        offered = [
            (manifest, definition)
            for manifest, definition in self._resolver.healthy()
            if server in (None, manifest.server) and manifest.server not in unknown
        ]
        if not offered:
            return ()
        body = visible_body(caller, [manifest for manifest, _ in offered], mode)
        allowed = await self._policy.visible(body)
        return tuple(
            VisibleTool(manifest.server, definition)
            for manifest, definition in offered
            if manifest.resource_id in allowed
        )


def visible_body(caller: Caller, manifests: list[ToolManifest], mode: Mode) -> bytes:
    """Build the question for `data.detent.main.visible`."""
    question: dict[str, Any] = {
        "subject": subject(caller),
        "action": {"name": "tools/list"},
        "resources": [
            {
                "type": "tool",
                "id": manifest.resource_id,
                "server": manifest.server,
                "tool": manifest.tool,
                "manifest": manifest.document,
            }
            for manifest in manifests
        ],
        "context": {"session": {"id": caller.session.id, "mode": mode.value}},
    }
    return json.dumps({"input": question}, separators=(",", ":")).encode()


def subject(caller: Caller) -> dict[str, Any]:
    """Return who is calling, as policies see it."""
    return {
        "type": "agent",
        "id": caller.principal.agent,
        "tenant": caller.principal.tenant,
        "roles": list(caller.principal.roles),
        "on_behalf_of": None,
        "delegation_depth": 0,
    }
