"""A tool with one endpoint for each recovery class, which knows exactly what it was asked and did.

A call is known by the `text` it carries. `POST /keyed` takes effect once for an `Idempotency-Key`,
however often it is sent; `POST /write` takes effect every time; `GET /read` has none; and
`GET /written` tells whether a text was written. Before an effect the tool looks whether the ledger
has the intent. It can end its caller at three moments of a call: calls wait there for each other,
a second at most. Of a call that has only arrived the effect comes later.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiohttp import web

LATE_S, PATIENCE_S = 1.5, 1.0

ARRIVED, ACTED, HALF_ANSWERED = "tool-arrived", "tool-acted", "tool-half-answered"
POINTS = (ARRIVED, ACTED, HALF_ANSWERED)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request that has come whole. `at` is the time of day in seconds."""

    text: str
    path: str
    key: str
    at: float


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that the tool did. `intended`: the ledger had the intent at that moment."""

    text: str
    intended: bool
    at: float


async def _believe(_: str) -> bool:
    return True


@dataclass
class ExactTool:
    """The service and its record. `intended` looks into the ledger; `came`: calls at the point."""

    port: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    came: int = 0
    intended: Callable[[str], Awaitable[bool]] = _believe
    _over: asyncio.Event = field(default_factory=asyncio.Event)
    _point: str = ""
    _wanted: int = 0
    _end: Callable[[], None] = field(default=lambda: None)
    _done: dict[str, int] = field(default_factory=dict)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> "ExactTool":
        """Listen on a free port."""
        app = web.Application()
        app.router.add_get("/read", self._read)
        app.router.add_get("/written", self._written)
        app.router.add_post("/{path:keyed|write}", self._write)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def stop(self) -> None:
        """Close everything."""
        if self._runner is not None:
            await self._runner.cleanup()

    def end_at(self, point: str, wanted: int, end: Callable[[], None]) -> None:
        """End the caller when so many calls have come to one of POINTS; to none with an empty one.

        Calls that wait at the point before go on.
        """
        self._over.set()
        self._over = asyncio.Event()
        self._point, self._wanted, self._end, self.came = point, wanted, end, 0

    async def _pass(self, point: str) -> None:
        if point != self._point:
            return
        over = self._over
        self.came += 1
        if self.came < self._wanted:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), PATIENCE_S)
        if not over.is_set():
            over.set()
            self._end()

    async def _write(self, request: web.Request) -> web.StreamResponse:
        text = (await request.json())["text"]
        is_late = self._point == ARRIVED
        key = request.headers.get("Idempotency-Key", "")
        self.arrivals.append(Arrival(text, request.path, key, time.time()))
        await self._pass(ARRIVED)
        if is_late:
            await asyncio.sleep(LATE_S)
        intended = await self.intended(text)
        known = self._done.get(key) if request.path == "/keyed" else None
        if known is None:
            self.effects.append(Effect(text, intended, time.time()))
            known = self._done[key or text] = len(self.effects)
        await self._pass(ACTED)
        return await self._answer(request, b'{"n": %d, "filler": "%b"}' % (known, b"." * 200))

    async def _read(self, request: web.Request) -> web.StreamResponse:
        self.arrivals.append(Arrival(request.query["text"], "/read", "", time.time()))
        await self._pass(ARRIVED)
        await self._pass(ACTED)
        return await self._answer(request, b'{"read": true, "filler": "%b"}' % (b"." * 200))

    async def _written(self, request: web.Request) -> web.Response:
        written = any(one.text == request.query["text"] for one in self.effects)
        return web.json_response({"written": written})

    async def _answer(self, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        with contextlib.suppress(ConnectionError):  # of a caller that has ended
            await response.prepare(request)
            await response.write(body[:20])
            await self._pass(HALF_ANSWERED)
            await response.write(body[20:])
            await response.write_eof()
        return response
