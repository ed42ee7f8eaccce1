"""Requests that are answered where their bytes come in: what a client sees stays the same."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.types import Receive, Scope, Send

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.ingress import attach as module
from proxy.ingress.attach import attach_app
from proxy.ingress.guard import GuardSettings, loopback_hosts
from proxy.ingress.protocol import ConnectionLimits
from proxy.model.kill import GLOBAL
from proxy.model.lease import Renewal
from proxy.stores.remote.authority import GatewayAuthority
from proxy.stores.remote.gateway import Gateway
from tests.harness.attached import MINE, OTHER, Attached, attached
from tests.harness.raw import say
from tests.harness.served import served

RENEWAL = b'{"holder":"hld","nonce":"n%d","known":0,"acked":0}'
POLL = "POST /attach/v1/kills HTTP/1.1"
LEASE = "POST /attach/v1/lease HTTP/1.1"


@dataclass
class Line:
    """One connection of a sidecar."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def heard(self) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and JSON of the next answer."""
        async with asyncio.timeout(5):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in head[1:-2])
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], Any]:
        """Send it and return its answer."""
        self.writer.write(request)
        return await self.heard()


@dataclass
class Port:
    """A served attach port; `long_way` has the path of each request that was parsed."""

    attached: Attached
    patch: pytest.MonkeyPatch
    port: int = 0
    long_way: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def app(self, port: int) -> Any:
        """Return the application for that port."""
        self.port = port
        inner = attach_app(self.attached.ports, GuardSettings(loopback_hosts(port)))

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            self.long_way.append(scope["path"])
            await inner(scope, receive, send)

        return counted

    def request(self, body: bytes, line: str = LEASE, sidecar: str = MINE.name) -> bytes:
        """Return a request of a sidecar."""
        token = self.attached.tokens[sidecar]
        return (
            f"{line}\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    async def line(self) -> Line:
        """Connect."""
        self.lines.append(Line(*await asyncio.open_connection("127.0.0.1", self.port)))
        return self.lines[-1]

    async def polling(self) -> Line:
        """Return a line whose poll is owed an answer, after one that went the long way."""
        line = await self.line()
        self.patch.setattr(module, "POLL_S", 0.01)
        assert (await line.ask(self.request(b"[0]", POLL)))[2] == 0
        self.patch.setattr(module, "POLL_S", 5.0)
        parsed = len(self.long_way)
        line.writer.write(self.request(b"[0]", POLL))
        await asyncio.sleep(0.05)
        assert len(self.long_way) == parsed
        return line


@pytest.fixture
async def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Port]:
    async with attached(tmp_path) as gateway:
        port = Port(gateway, monkeypatch)
        async with served(port.app, ConnectionLimits(connections=3)):
            yield port
            for line in port.lines:
                line.writer.close()


async def test_a_renewal_that_repeats_another_is_answered_alike(port: Port) -> None:
    """With the same headers, and the grant for its own nonce."""
    line = await port.line()
    answers = [await line.ask(port.request(RENEWAL % number)) for number in range(3)]
    assert port.long_way == ["/attach/v1/lease"]
    for number, (status, headers, grant) in enumerate(answers):
        assert (status, grant["nonce"]) == (200, f"n{number}")
        assert list(headers) == list(answers[0][1])
        assert headers["cache-control"] == "no-store"


async def test_what_came_in_parts_goes_the_long_way(port: Port) -> None:
    """Each time, and is answered."""
    line, whole = await port.line(), port.request(RENEWAL % 1)
    for _ in range(2):
        line.writer.write(whole[:-5])
        await asyncio.sleep(0.02)
        assert (await line.ask(whole[-5:]))[0] == 200
    assert len(port.long_way) == 2


async def test_another_body_of_that_length_is_judged_as_ever(port: Port) -> None:
    """What does not fit is told so, the long way."""
    line, good = await port.line(), RENEWAL % 1
    await line.ask(port.request(good))
    status, _, problem = await line.ask(port.request(b"x" * len(good)))
    assert (status, problem["code"]) == (400, "invalid-arguments")
    assert len(port.long_way) == 2


async def test_a_token_counts_at_every_request(port: Port) -> None:
    """One that nobody knows any more is refused, and another's is another head."""
    line, renewal = await port.line(), RENEWAL % 1
    await line.ask(port.request(renewal))
    await line.ask(port.request(renewal, sidecar=OTHER.name))
    assert set(port.attached.relay.holding()) == {"pod-1/hld", "pod-2/hld"}
    cast("dict[str, Any]", port.attached.ports.sidecars).clear()
    assert (await line.ask(port.request(renewal)))[0] == 401


async def test_the_last_request_of_a_connection_is_the_last(port: Port) -> None:
    """`Connection: close` closes it, whatever is kept."""
    line = await port.line()
    line.writer.write(port.request(RENEWAL % 1, LEASE + "\r\nConnection: close"))
    assert (await line.heard())[0] == 200
    assert await asyncio.wait_for(line.reader.read(), 5) == b""


async def test_all_who_wait_hear_of_a_kill(port: Port) -> None:
    """Who is owed an answer, and who asks the long way; who hung up disturbs nobody."""
    waiting, gone, late = await port.polling(), await port.polling(), await port.line()
    late.writer.write(port.request(b"[0]", POLL))
    gone.writer.close()
    await asyncio.sleep(0.05)
    await port.attached.kill_switch.kill((GLOBAL,), "oncall", "")
    assert [(await one.heard())[2] for one in (waiting, late)] == [1, 1]


async def test_what_comes_before_an_answer_is_refused(port: Port) -> None:
    """As on the long way: nothing is read behind a request that waits."""
    line = await port.polling()
    status, headers, problem = await line.ask(port.request(b"[0]", POLL))
    assert (status, problem["code"]) == (400, "request-pipelined")
    assert headers["connection"] == "close"
    assert await asyncio.wait_for(line.reader.read(), 5) == b""


async def test_a_connection_that_is_owed_an_answer_is_in_use(port: Port) -> None:
    """A crowded port refuses the next one instead."""
    for _ in range(3):
        await port.polling()
    status, _, problem = await (await port.line()).heard()
    assert (status, problem["code"]) == (503, "too-many-connections")


async def test_a_sidecars_own_client_repeats_its_heads(port: Port) -> None:
    """Its renewals and acknowledgements are parsed once a connection."""
    url = f"http://127.0.0.1:{port.port}"
    token = port.attached.tokens[MINE.name]
    http = EgressClient(url, AddressPolicy(allow_private=True))
    gateway = Gateway(http, url, lambda: token)
    authority = GatewayAuthority(gateway)
    for number in range(3):
        nonce = f"non_{number:020d}"
        assert (await authority.renew(Renewal("hld_1", nonce, 0, 0))).nonce == nonce
        await authority.acknowledge("hld_1", number)
    assert port.attached.relay.obeyed(2) == 0  # who was there before it may still start
    assert port.attached.relay.standing(2)["pod-1/hld_1"].value == "acked"
    assert port.long_way.count("/attach/v1/lease") == 1
    await gateway.close()


VARIANTS = {
    "as it was": (b"", b""),
    "another length": (b"Content-Length: 5", b"Content-Length: 4"),
    "a length with a sign": (b"Content-Length: ", b"Content-Length: +"),
    "two lengths": (b"Content-Length: ", b"Content-Length: 1\r\nContent-Length: "),
    "chunked as well": (b"Host: ", b"Transfer-Encoding: chunked\r\nHost: "),
    "no host": (b"Host: ", b"Toast: "),
    "another host": (b"Host: ", b"Host: evil."),
    "another path": (b"/lease ", b"/../lease "),
    "another method": (b"POST ", b"PUT "),
    "an older version": (b"HTTP/1.1", b"HTTP/1.0"),
    "an encoding": (b"Host: ", b"Content-Encoding: gzip\r\nHost: "),
    "a page's": (b"Host: ", b"Origin: https://evil.test\r\nHost: "),
    "a bare line feed": (b"\r\nHost", b"\nHost"),
    "no body": (RENEWAL % 1, b""),
    "an empty line before": (b"POST ", b"\r\nPOST "),
}


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS)
async def test_what_differs_is_judged_as_on_a_connection_of_its_own(
    port: Port, change: tuple[bytes, bytes]
) -> None:
    """Whatever that connection has kept."""
    url, good = f"http://127.0.0.1:{port.port}", port.request(RENEWAL % 1)
    given = good.replace(*change, 1)
    alone = await say(url, given, wait_s=0.4)
    after = await say(url, good, given, pause_s=0.15, wait_s=0.7)
    assert (after.statuses[0], after.statuses[1:], after.closed) == (
        200,
        alone.statuses,
        alone.closed,
    )
