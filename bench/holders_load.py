"""`python -m bench.holders_load URL TOKEN COUNT`: holders of kill leases, nothing else of sidecars.

Each has two connections, as a sidecar has: one renews every fifth of a lease and acknowledges, one
waits for kills. It prints `ready` when all have a lease, and for every line that it reads one with
what happened since: JSON, times of CLOCK_BOOTTIME in seconds.
"""

import asyncio
import contextlib
import json
import random
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import uvloop

from proxy.model.lease import LeaseTerms

TERMS = LeaseTerms()
CONNECT_AT_ONCE = 50


def now_s() -> float:
    """Return the clock of leases."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class Seen:
    """What the holders saw since they were asked last.

    `heard` and `obeyed` map an epoch to when each holder was told of it, and had it in its log.
    """

    renewals: int = 0
    lapsed: int = 0
    refused: int = 0
    took_s: list[float] = field(default_factory=list)
    heard: dict[int, list[float]] = field(default_factory=dict)
    obeyed: dict[int, list[float]] = field(default_factory=dict)
    cpu_s: float = 0.0


class Connection(asyncio.Protocol):
    """One request after the other; each answer goes to whoever asked. Lost, it is made again."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[bytes, Callable[[bytes], None]]] = deque()
        self._asked: tuple[bytes, Callable[[bytes], None]] | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._buffer = b""

    async def connect(self) -> None:
        """Go on until it is connected."""
        while self._transport is None:
            try:
                await asyncio.get_running_loop().create_connection(lambda: self, *self._place)
            except OSError:
                await asyncio.sleep(0.1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and ask what waits."""
        self._transport = cast("asyncio.Transport", transport)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Connect and ask again, as the client of a sidecar does."""
        del exc
        self._transport, self._buffer = None, b""
        if self._asked is not None:
            self._waiting.appendleft(self._asked)
            self._asked = None
        self._connecting = asyncio.get_running_loop().create_task(self.connect())

    @property
    def is_busy(self) -> bool:
        """Whether an answer is waited for."""
        return self._asked is not None or bool(self._waiting)

    def ask(self, request: bytes, answered: Callable[[bytes], None]) -> None:
        """Send it when those before it are answered."""
        self._waiting.append((request, answered))
        self._next()

    def _next(self) -> None:
        if self._asked is None and self._waiting and self._transport is not None:
            self._asked = self._waiting.popleft()
            self._transport.write(self._asked[0])

    def data_received(self, data: bytes) -> None:
        """Give each whole answer's body to who asked; nothing for one that is no 200."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self._buffer.lower().find(b"content-length:") + 15
        whole = end + 4 + int(self._buffer[at : self._buffer.find(b"\r", at)])
        if len(self._buffer) < whole:
            return
        is_ok = self._buffer.startswith(b"HTTP/1.1 200")
        body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
        asked, self._asked = self._asked, None
        if asked is not None:
            asked[1](body if is_ok else b"")
        self._next()


class Holder:
    """Asks, obeys, acknowledges."""

    def __init__(self, name: str, place: tuple[str, int], token: str, seen: Seen) -> None:
        self._name = name
        common = f"Host: {place[0]}:{place[1]}\r\nAuthorization: Bearer {token}\r\n"
        self._post = f"POST /attach/v1/%s HTTP/1.1\r\n{common}Content-Type: application/json\r\n"
        self._get = f"GET /attach/v1/kills?known=%d HTTP/1.1\r\n{common}\r\n"
        self._seen = seen
        self._known = self._acked = self._nonce = 0
        self._until = 0.0
        self._again = False
        self.leased = asyncio.Event()
        self.renewing, self.waiting = Connection(*place), Connection(*place)

    async def connect(self) -> None:
        """Make both connections."""
        await self.renewing.connect()
        await self.waiting.connect()

    async def run(self) -> None:
        """Renew for ever."""
        while not self.leased.is_set():
            self._renew()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.leased.wait(), TERMS.duration_s)
        self._wait()
        await asyncio.sleep(random.uniform(0, TERMS.renew_every_s))
        due = now_s()
        while True:
            due = max(due + TERMS.renew_every_s, now_s())
            await asyncio.sleep(due - now_s())
            if not self.renewing.is_busy:
                self._renew()

    def _body(self, path: str, document: Any) -> bytes:
        body = json.dumps(document)
        return (self._post % path + f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def _renew(self) -> None:
        self._nonce += 1
        document = {
            "holder": self._name, "nonce": str(self._nonce),
            "known": self._known, "acked": self._acked,
        }  # fmt: skip
        sent = now_s()
        self._seen.lapsed += self.leased.is_set() and sent > self._until
        self.renewing.ask(self._body("lease", document), lambda body: self._granted(sent, body))

    def _granted(self, sent: float, body: bytes) -> None:
        if not body:
            self._seen.refused += 1
            return
        at, grant = now_s(), json.loads(body)
        self._seen.renewals += 1
        self._seen.took_s.append(at - sent)
        lasts_s = min(grant["remaining_s"], TERMS.duration_s) * (1 - TERMS.clock_drift)
        self._until = max(self._until, sent + lasts_s)
        for epoch in (entry["epoch"] for entry in grant["entries"]):
            if epoch > self._known:  # an answer to an earlier renewal may have told it
                self._known = epoch
                self._seen.obeyed.setdefault(epoch, []).append(at)
        self.leased.set()
        if self._known > self._acked:
            self._acked = self._known
            self.renewing.ask(self._body("acknowledge", [self._name, self._acked]), _nothing)

    def _wait(self) -> None:
        self.waiting.ask((self._get % self._known).encode(), self._pushed)

    def _pushed(self, body: bytes) -> None:
        newest = int(body or 0)
        if newest > self._known:
            self._seen.heard.setdefault(newest, []).append(now_s())
            self._renew()
            self.renewing.ask(self._body("acknowledge", [self._name, newest]), self._wait_on)
        else:
            self._wait()

    def _wait_on(self, _: bytes) -> None:
        self._wait()


def _nothing(_: bytes) -> None:
    """Take an answer that says nothing."""


async def hold(url: str, token: str, count: int) -> None:
    """Connect, get leases, then answer every line with what was seen."""
    seen, address, mark = Seen(), urlsplit(url), random.randbytes(4).hex()
    place = (address.hostname or "", address.port or 0)
    names = (f"hld-{mark}-{n}" for n in range(count))
    holders = [Holder(name, place, token, seen) for name in names]
    for begin in range(0, count, CONNECT_AT_ONCE):
        some = holders[begin : begin + CONNECT_AT_ONCE]
        await asyncio.gather(*(one.connect() for one in some))
        for one in some:
            asyncio.create_task(one.run())  # noqa: RUF006 - lives as long as the process
        await asyncio.gather(*(one.leased.wait() for one in some))
    print("ready", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        seen.cpu_s = time.process_time()
        told = asdict(seen)
        print(json.dumps(told), flush=True)
        seen.renewals = seen.lapsed = seen.refused = 0
        seen.took_s, seen.heard, seen.obeyed = [], {}, {}


if __name__ == "__main__":
    uvloop.run(hold(sys.argv[1], sys.argv[2], int(sys.argv[3])))
