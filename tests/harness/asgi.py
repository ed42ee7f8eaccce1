"""One HTTP exchange with an application in this process, that a client can watch and close."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.types import ASGIApp, Message

from tests.harness.doors import HOST, TOKEN, request_scope


class Connection:
    """A client's connection with one request on it; `sent` is what the application said so far."""

    def __init__(self, body: bytes = b"") -> None:
        self.sent: list[Message] = []
        self.closed = asyncio.Event()
        self.reading = asyncio.Event()
        self.reading.set()
        self.serving: asyncio.Future[None] | None = None
        self._body: list[bytes] = [body]

    async def receive(self) -> Message:
        """Give the body, then wait for the end."""
        if self._body:
            return {"type": "http.request", "body": self._body.pop(), "more_body": False}
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Keep what is sent, once the client reads."""
        await self.reading.wait()
        self.sent.append(message)

    @property
    def status(self) -> int:
        """The HTTP status."""
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        """The headers, in lower case."""
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        """The body as far as it has come."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of every event that has some, as JSON."""
        lines = self.body.decode().split("\n")
        data = (line.removeprefix("data: ") for line in lines if line.startswith("data: "))
        return [json.loads(one) for one in data if one]

    @property
    def event_ids(self) -> list[str]:
        """The ids of the events, in order."""
        lines = self.body.decode().split("\n")
        return [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]

    async def heard(self, count: int) -> list[Any]:
        """Wait until that many events have come."""
        await until(lambda: len(self.events) >= count)
        return self.events

    async def ended(self) -> "Connection":
        """Wait until the application has done with it."""
        assert self.serving is not None
        async with asyncio.timeout(5):
            await self.serving
        return self

    async def ended_early(self) -> "Connection":
        """Wait until the answer has ended, whatever the application still does."""
        await until(lambda: len(self.sent) > 1 and not self.sent[-1].get("more_body"))
        return self

    async def close(self) -> None:
        """Hang up, and wait until the application has noticed."""
        self.closed.set()
        await self.ended()


def connect(
    app: ASGIApp,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Connection:
    """Send a request with the agent's token and leave the connection open."""
    fields = {"host": HOST, "authorization": f"Bearer {TOKEN}"}
    if body:
        fields |= {"content-type": "application/json", "content-length": str(len(body))}
    scope = request_scope(method, path, fields | dict(headers or {}))
    connection = Connection(body)
    connection.serving = asyncio.ensure_future(app(scope, connection.receive, connection.send))
    return connection


async def until(condition: Callable[[], object], within_s: float = 2.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.001)
