"""A real server that talks while it works, and clients that listen and answer."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rfc8785

from proxy.model.mcp import Era
from proxy.model.tool import Effect, ToolManifest
from proxy.process.child import Child
from proxy.upstream.base import Upstream, UpstreamCall, UpstreamResult
from tests.harness.client import Client

SERVER = Path(__file__).parents[1] / "contract" / "conversations" / "server.py"
BOTH = (Era.HANDSHAKE, Era.STATELESS)
KINDS: Mapping[str, tuple[Era, ...]] = {
    "http-handshake": (Era.HANDSHAKE,),
    "http-stateless": (Era.STATELESS,),
    "http-both": BOTH,
    "stdio-handshake": (Era.HANDSHAKE,),
    "stdio-stateless": (Era.STATELESS,),
}


@dataclass
class Talker:
    """A running server behind an upstream, and the log of what happened in it."""

    kind: str
    upstream: Upstream
    log: Path
    changes: list[float]
    server: Child | None = None

    @property
    def eras(self) -> tuple[Era, ...]:
        """The eras in which it is spoken to."""
        return KINDS[self.kind]

    @property
    def is_shared(self) -> bool:
        """Whether all clients are one to the server: one process, no sessions."""
        return self.kind == "stdio-handshake"

    async def call(
        self, tool: str, client: Client, timeout_s: float = 10, **arguments: Any
    ) -> UpstreamResult:
        """Call a tool, or another method."""
        manifest = ToolManifest("talker", tool, Effect.WRITE)
        method = tool if "/" in tool else "tools/call"
        call = UpstreamCall(
            manifest, rfc8785.dumps(arguments), timeout_s, method=method, conversation=client
        )
        return await self.upstream.call(call, lambda: None)

    async def text(self, tool: str, client: Client, **arguments: Any) -> str:
        """Return the text a tool answers."""
        result = await self.call(tool, client, **arguments)
        assert not result.is_error, result.result
        return str(json.loads(result.result)["content"][0]["text"])

    def seen(self, text: str) -> dict[str, float]:
        """Return what happened under that text in the server, and when."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = [line.rsplit(" ", 2) for line in lines]
        return {what: float(at) for one, what, at in found if one == text}

    async def until(self, text: str, what: str) -> float:
        """Return when something happened, once it has."""
        await eventually(lambda: what in self.seen(text))
        return self.seen(text)[what]


async def eventually(condition: Callable[[], bool], within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)
