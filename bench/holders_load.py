"""`python -m bench.holders_load URL TOKEN COUNT AT_ONCE`: kill leases, nothing else of sidecars.

A holder has two connections, as a sidecar has: one renews every fifth of a lease and acknowledges,
one waits for kills. AT_ONCE holders share them, and are renewed with one request. It prints `ready`
when all have a lease, and for every line that it reads one with what happened since: JSON, times of
CLOCK_BOOTTIME in seconds.
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


class Holders:
    """Ask, obey, acknowledge: one holder, or many whose renewals one request carries."""

    def __init__(self, names: list[str], place: tuple[str, int], token: str, seen: Seen) -> None:
        self._names = names
        common = f"Host: {place[0]}:{place[1]}\r\nAuthorization: Bearer {token}\r\n"
        self._post = f"POST /attach/v1/%s HTTP/1.1\r\n{common}Content-Type: application/json\r\n"
        self._seen = seen
        self._known = self._acked = self._nonce = 0
        self._until = 0.0
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

    def _body(self, path: str, body: str) -> bytes:
        return (self._post % path + f"Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def _renew(self, then: Callable[[], None] | None = None) -> None:
        self._nonce += 1
        said = f'"nonce":"non_{self._nonce:020d}","known":{self._known},"acked":{self._acked}'
        each = [f'{{"holder":"{name}",{said}}}' for name in self._names]
        sent = now_s()
        self._seen.lapsed += (self.leased.is_set() and sent > self._until) * len(each)
        many = f'{{"holders":[{",".join(each)}]}}'
        path, body = ("lease", each[0]) if len(each) == 1 else ("leases", many)
        self.renewing.ask(self._body(path, body), lambda body: self._granted(sent, body, then))

    def _granted(self, sent: float, body: bytes, then: Callable[[], None] | None) -> None:
        at = now_s()
        grant = json.loads(body or b'{"nonces": []}')
        count = len(grant.get("nonces", self._names))
        self._seen.refused += len(self._names) - count
        if count == len(self._names):
            self._seen.renewals += count
            self._seen.took_s.append(at - sent)
            lasts_s = min(grant["remaining_s"], TERMS.duration_s) * (1 - TERMS.clock_drift)
            self._until = max(self._until, sent + lasts_s)
            self.leased.set()
            self._obey(grant["entries"], at)
        if then is not None:
            then()

    def _obey(self, entries: list[dict[str, Any]], at: float) -> None:
        for epoch in (entry["epoch"] for entry in entries):
            if epoch > self._known:  # an answer to an earlier renewal may have told it
                self._known = epoch
                self._seen.obeyed.setdefault(epoch, []).extend([at] * len(self._names))
        if self._known > self._acked:
            self._acked = self._known
            self._renew()  # which says so

    def _wait(self) -> None:
        self.waiting.ask(self._body("kills", f"[{self._known}]"), self._pushed)

    def _pushed(self, body: bytes) -> None:
        newest = int(body or 0)
        if newest > self._known:
            self._seen.heard.setdefault(newest, []).extend([now_s()] * len(self._names))
            self._renew(self._wait)
        else:
            self._wait()


async def hold(url: str, token: str, count: int, at_once: int) -> None:
    """Connect, get leases, then answer every line with what was seen."""
    seen, address, mark = Seen(), urlsplit(url), random.randbytes(4).hex()
    place = (address.hostname or "", address.port or 0)
    names = [f"hld-{mark}-{n:05d}" for n in range(count)]
    shared = [names[begin : begin + at_once] for begin in range(0, count, at_once)]
    holders = [Holders(some, place, token, seen) for some in shared]
    for begin in range(0, len(holders), CONNECT_AT_ONCE):
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
    uvloop.run(hold(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
