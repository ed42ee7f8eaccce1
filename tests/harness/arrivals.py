"""A tool in a process of its own that notes when each call reached it, and does little else.

`POST /fenced` is for a tool that verifies its call token, any other path for one that cannot. The
calls carry their maker in `text`. What a test asks or tells it lies under `/-/` and is not noted.
The process ends when its standard input does.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from credentials.verify import InvalidToken, Verifier
from tests.harness.world import ROOT

ISSUER, AUDIENCE = "https://detent.example", "https://tool.example"
FENCED = "/fenced"
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Arrival:
    """One call as the tool got it: CLOCK_MONOTONIC in seconds, and why it was refused."""

    at: float
    path: str
    maker: str
    refused: str = ""


class Notes:
    """What has arrived, and how calls with a token are verified."""

    def __init__(self) -> None:
        self._arrivals: list[Arrival] = []
        self._verifier: Verifier | None = None
        self._floor = 0

    def take(self, at: float, path: str, token: str, body: bytes) -> str:
        """Note a call; return why it is refused, if it is."""
        refused = self._verified(token, body) if path == FENCED else ""
        self._arrivals.append(Arrival(at, path, str(json.loads(body)["text"]), refused))
        return refused

    def control(self, path: str, body: bytes) -> Any:
        """Answer the test."""
        told: Any = json.loads(body)
        if path == "/-/keys":
            self._verifier = Verifier(told, ISSUER, AUDIENCE, lambda _: self._floor, leeway_s=1)
        elif path == "/-/floor":
            self._floor = told
        return [asdict(one) for one in self._arrivals[told:]] if path == "/-/since" else {}

    def _verified(self, token: str, body: bytes) -> str:
        if self._verifier is None:
            return "no-keys"
        try:
            # The gateway sends canonical JSON: these are the bytes the token was minted for.
            self._verifier.verify(token, tool="rec/fenced", arguments=body)
        except InvalidToken as refused:
            return refused.code
        return ""


class _Connection(asyncio.Protocol):
    """HTTP/1.1 as our own clients speak it: one request after the other, lengths given."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        at = time.monotonic()
        self._buffer += data
        while (end := self._buffer.find(_HEAD_END)) >= 0:
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, value in _fields(lines)}
            whole = end + len(_HEAD_END) + int(headers.get("content-length", 0))
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._answer(at, first.split(" ")[1], headers, body)

    def _answer(self, at: float, path: str, headers: Mapping[str, str], body: bytes) -> None:
        status, answer = "200 OK", "{}"
        if path.startswith("/-/"):
            answer = json.dumps(self._notes.control(path, body))
        else:
            token = headers.get("authorization", "").removeprefix("Bearer ")
            if refused := self._notes.take(at, path, token, body):
                status, answer = "401 Unauthorized", json.dumps({"code": refused})
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        assert self._transport is not None
        self._transport.write(f"{head}Content-Length: {len(answer)}\r\n\r\n{answer}".encode())


def _fields(lines: list[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (line.partition(":") for line in lines)]


class Tool(AbstractAsyncContextManager["Tool"]):
    """The process, as a test speaks to it."""

    def __init__(self) -> None:
        self.url = ""
        self._known = 0
        self._process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.harness.arrivals",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdout is not None
        port = await asyncio.wait_for(self._process.stdout.readline(), 60)
        self.url = f"http://127.0.0.1:{int(port)}"
        self._http = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._http is not None:
            await self._http.close()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def trust(self, jwks: Any) -> None:
        """Verify tokens by these keys."""
        await self._ask("keys", jwks)

    async def refuse_below(self, epoch: int) -> None:
        """Refuse tokens of epochs before this one."""
        await self._ask("floor", epoch)

    async def news(self) -> list[Arrival]:
        """Return what has arrived since this was last asked."""
        found = [Arrival(**one) for one in await self._ask("since", self._known)]
        self._known += len(found)
        return found

    async def _ask(self, what: str, body: Any) -> Any:
        assert self._http is not None
        async with self._http.post(f"{self.url}/-/{what}", data=json.dumps(body)) as answer:
            return await answer.json()


async def _serve(told: Callable[[int], None]) -> None:
    notes = Notes()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(notes), "127.0.0.1", 0)
    told(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(sys.stdin.read)
    server.close()


def _tell(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(_tell))
