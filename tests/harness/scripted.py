"""The scripted stdio server behind an upstream."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.upstream.mcp_stdio import McpStdio

SCRIPT = Path(__file__).with_name("stdio_server.py")


@dataclass
class Scripted:
    """The scripted stdio server behind an upstream, and what it read."""

    upstream: McpStdio
    log: Path
    changes: list[int]

    def lines(self) -> list[bytes]:
        """Return the lines the server read."""
        return self.log.read_bytes().splitlines() if self.log.exists() else []

    def heard(self, method: str) -> list[dict[str, Any]]:
        """Return the messages with that method."""
        messages = [json.loads(line) for line in self.lines()]
        return [message for message in messages if message.get("method") == method]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until that is so."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)


MakeScripted = Callable[..., Awaitable[Scripted]]
