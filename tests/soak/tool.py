"""`python -m tests.soak.tool FILE`: a tool in a process of its own that writes down what it gets.

`POST /keyed` takes effect once for an Idempotency-Key; `/write` and `/opaque` every time; `GET
/items/ID` has no effect; `GET /written?text=…` tells whether a text was written.
A call may ask for its answer to take `n` seconds. It prints its port, and ends with its standard
input.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, urlsplit

_HEAD_END = b"\r\n\r\n"


class Record:
    """What has happened; a line for each call: time, path, marker, whether it had an effect."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._keys: set[str] = set()
        self._written: set[str] = set()
        self._count = 0

    def take(self, at: float, path: str, key: str, body: bytes) -> tuple[float, Any]:
        """Note a call; return the seconds to wait, and the answer."""
        address = urlsplit(path)
        if address.path == "/written":
            (text,) = parse_qs(address.query)["text"]
            return 0.0, {"written": text in self._written}
        if address.path.startswith("/items/"):
            self._note(at, "item", address.path.removeprefix("/items/"), had_effect=False)
            return 0.0, {"n": self._count}
        told = json.loads(body)
        tool, text = address.path[1:], told["text"]
        is_new = tool != "keyed" or key not in self._keys
        self._keys.add(key)
        self._written.add(text)
        self._note(at, tool, text, had_effect=is_new)
        return float(told.get("n", 0)), {"n": self._count}

    def _note(self, at: float, tool: str, marker: str, *, had_effect: bool) -> None:
        self._count += 1
        self._file.write(json.dumps(["arrival", at, f"rec/{tool}", marker, had_effect]) + "\n")


class Connection(asyncio.Protocol):
    """HTTP/1.1 as our own clients speak it: one request after the other, lengths given."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        at = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._buffer += data
        while (end := self._buffer.find(_HEAD_END)) >= 0:
            first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
            pairs = (line.partition(":") for line in lines)
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            whole = end + len(_HEAD_END) + int(headers.get("content-length", 0))
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            key = headers.get("idempotency-key", "")
            wait_s, told = self._record.take(at, first.split(" ")[1], key, body)
            asyncio.get_running_loop().call_later(wait_s, self._answer, told)

    def _answer(self, told: Any) -> None:
        assert self._transport is not None
        if self._transport.is_closing():
            return
        body = json.dumps(told)
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        self._transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())


async def serve(file: IO[str]) -> None:
    """Listen, say where, and go on until nobody holds our standard input."""
    record = Record(file)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(record), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with Path(sys.argv[1]).open("w") as notes:
        asyncio.run(serve(notes))
