"""A plain HTTP service that writes down every request before it answers.

`POST /write` and `GET /read` answer at once, `/echo` with its body, `/slow/…` after `seconds`,
`/drip` never ends. It runs in the test's own loop, so a test can look at what has arrived at any
moment.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Received:
    """One request as the tool got it; `at` is CLOCK_MONOTONIC in seconds."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Recorder:
    """The service and what it has seen."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    status: int = 200
    reply: Any = None
    release: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> "Recorder":
        """Listen on a free port."""
        app = web.Application(client_max_size=32 << 20)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """Close everything."""
        self.release.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def bodies(self) -> list[Any]:
        """Return the JSON bodies, in order."""
        return [json.loads(request.body) for request in self.received if request.body]

    async def _answer(self, request: web.Request) -> web.Response:
        at = time.monotonic()
        body = await request.read()
        seen = Received(at, request.method, request.path_qs, dict(request.headers), body)
        self.received.append(seen)
        if request.path.startswith("/slow"):
            await asyncio.sleep(float(request.query.get("seconds", "0.5")))
        if request.path.startswith("/hold"):
            await self.release.wait()
        if request.path.startswith("/echo"):
            return web.Response(body=body, content_type="application/json")
        reply = self.reply if self.reply is not None else {"n": len(self.received)}
        return web.json_response(reply, status=self.status)
