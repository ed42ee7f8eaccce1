"""The streams that the MCP server on the recorded wire keeps open."""

import asyncio
import json
from typing import Any

from tests.harness.mcp_on_wire import McpServer, event, head
from tests.harness.wire import Received


class Streams:
    """The open streams of the recorded server, by the session or request they are for."""

    def __init__(self, server: McpServer) -> None:
        self.open: dict[str, asyncio.StreamWriter] = {}
        self.closed: list[str] = []
        server.on_get = self.on_get
        server.on_call = self.on_listen
        self.server = server
        self.sessions = 0

    async def on_get(self, received: Received, writer: asyncio.StreamWriter) -> None:
        await self.keep(received.header("mcp-session-id") or "", writer)

    async def on_listen(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if message["method"] != "subscriptions/listen":
            writer.write(self.server.reply(message, result={"content": []}))
            return
        await self.keep("listen", writer, "notifications/subscriptions/acknowledged")

    async def keep(self, name: str, writer: asyncio.StreamWriter, first: str = "") -> None:
        writer.write(head())
        self.open[name] = writer
        if first:
            self.say(name, first)
        try:
            await asyncio.sleep(60)
        finally:
            self.closed.append(name)

    def hesitate(self, delay_s: float) -> None:
        """Open every stream only after a while."""
        keep = self.keep

        async def late(name: str, writer: asyncio.StreamWriter, first: str = "") -> None:
            await asyncio.sleep(delay_s)
            await keep(name, writer, first)

        self.keep = late  # type: ignore[method-assign]  # a test's own server

    def say(self, name: str, method: str, **params: Any) -> None:
        """Say something on one stream."""
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.open[name].write(event(json.dumps(message).encode()))

    async def until(self, *names: str) -> None:
        """Wait until exactly these have been opened."""
        async with asyncio.timeout(5):
            while set(self.open) != set(names):
                await asyncio.sleep(0.002)
