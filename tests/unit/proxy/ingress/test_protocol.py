"""The unit is the socket's own protocol, so these tests open one."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from proxy.ingress.protocol import ConnectionLimits
from proxy.model.call import ToolCall
from proxy.model.step import Answer
from tests.harness.agents_port import AgentsPort, serve
from tests.harness.doors import TOKEN, RecordingGate, done
from tests.harness.raw import CALL, Heard, request, say

LIMITS = ConnectionLimits(
    connections=4,
    head_timeout_s=0.3,
    stall_timeout_s=0.3,
    head_max_bytes=2_000,
    target_max_bytes=1_000,
)
LARGE = b'{"text":"%b"}' % (b"x" * 20_000_000)
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.fixture
def gate() -> RecordingGate:
    """A pipeline that only writes down what it is given."""
    return RecordingGate()


@pytest.fixture
async def port(gate: RecordingGate) -> AsyncIterator[AgentsPort]:
    """A port with narrow bounds."""
    async with serve(gate, LIMITS) as port:
        yield port


def call(port: AgentsPort, *fields: bytes, line: bytes = b"POST /v1/calls HTTP/1.1") -> bytes:
    return request(port.url, TOKEN, *fields, line=line)


async def attack(port: AgentsPort, *parts: bytes, pause_s: float = 0.0) -> Heard:
    return await say(port.url, *parts, pause_s=pause_s, wait_s=3)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"/healthz", 200),
        (b"/healthz?verbose=1", 200),
        (b"http://127.0.0.1/healthz", 400),
        (b"http://evil.test/healthz", 400),
        (b"/healthz#x", 400),
    ],
)
async def test_the_guard_sees_the_target_as_it_was_sent(
    port: AgentsPort, target: bytes, status: int
) -> None:
    """Without it, absolute-form and fragments would look like plain paths."""
    heard = await attack(port, call(port, b"Connection: close", line=b"GET %b HTTP/1.1" % target))
    assert heard.status == status


@pytest.mark.parametrize(
    "given", [b"\0", b"GET / HTTP/1.1\r\nA : b\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_http_is_told_so(port: AgentsPort, given: bytes) -> None:
    """As a problem like any other."""
    heard = await attack(port, given)
    assert (heard.status, heard.code, heard.closed) == (400, "malformed-request", True)
    assert b"content-type: application/problem+json" in heard.raw


async def test_a_target_is_bounded_while_it_comes(port: AgentsPort) -> None:
    """In one packet or in many."""
    given = call(port, line=b"GET /%b HTTP/1.1" % (b"a" * 1_000))
    for parts in ((given,), (given[:700], given[700:1_400])):
        heard = await attack(port, *parts, pause_s=0.05)
        assert (heard.status, heard.code) == (414, "target-too-long")


async def test_a_head_is_bounded_while_it_comes(port: AgentsPort) -> None:
    """It is not kept until it is whole."""
    heard = await attack(port, call(port)[:90], *[b"X-A: %b\r\n" % (b"a" * 500)] * 9, pause_s=0.02)
    assert (heard.status, heard.code) == (431, "headers-too-large")


@pytest.mark.parametrize("endless", [b"1;" + b"a" * 9_000, b"1\r\n{\r\n0\r\nX: " + b"a" * 9_000])
async def test_framing_is_bounded_while_a_body_comes(port: AgentsPort, endless: bytes) -> None:
    """A chunk's extension and a trailer are no body."""
    head = request(port.url, TOKEN, CHUNKED, without=[b"content-length"], body=b"")
    parts = [endless[at : at + 900] for at in range(0, len(endless), 900)]
    heard = await attack(port, head, *parts, pause_s=0.02)
    assert (heard.status, heard.closed) == (400, True)


async def test_a_body_that_comes_in_small_parts_is_taken(
    port: AgentsPort, gate: RecordingGate
) -> None:
    """As long as something of it comes, its framing may be more than itself."""
    head = request(
        port.url, TOKEN, CHUNKED, b"Connection: close", without=[b"content-length"], body=b""
    )
    chunks = [b"1;%b\r\n%c\r\n" % (b"a" * 100, one) for one in CALL]
    heard = await attack(port, head, *chunks, b"0\r\n\r\n", pause_s=0.001)
    assert (heard.status, len(gate.calls)) == (200, 1)


async def test_a_trailer_is_refused(port: AgentsPort, gate: RecordingGate) -> None:
    """It would be appended it to the headers the door reads."""
    body = b"%x\r\n%b\r\n0\r\nIdempotency-Key: k\r\n\r\n" % (len(CALL), CALL)
    given = request(port.url, TOKEN, CHUNKED, without=[b"content-length"], body=body)
    heard = await attack(port, given)
    assert (heard.status, heard.code, gate.calls) == (400, "trailers-refused", [])


@pytest.mark.parametrize("behind", [b"", b"\0"])
async def test_a_request_behind_one_without_answer_is_dropped(
    port: AgentsPort, gate: RecordingGate, behind: bytes
) -> None:
    """The answer under way is the last one; nothing is written into it."""
    gate.hold = asyncio.Event()
    sending = asyncio.create_task(attack(port, call(port), behind or call(port), pause_s=0.1))
    await asyncio.sleep(0.3)
    gate.hold.set()
    heard = await sending
    assert (heard.statuses, heard.closed, len(gate.calls)) == ([200], True, 1)


async def test_requests_one_after_the_other_are_answered(
    port: AgentsPort, gate: RecordingGate
) -> None:
    """On one connection."""
    heard = await attack(
        port, call(port), call(port), call(port, b"Connection: close"), pause_s=0.2
    )
    assert (heard.statuses, len(gate.calls)) == ([200] * 3, 3)


@pytest.mark.parametrize("more", [(), (b"Connection: close, Upgrade",)])
async def test_an_offered_upgrade_is_ignored(
    port: AgentsPort, gate: RecordingGate, more: tuple[bytes, ...]
) -> None:
    """The body is read as one, in the same packet and in a later one; close stays close."""
    fields = more or (b"Connection: Upgrade, HTTP2-Settings",)
    given = call(port, b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", *fields)
    last = call(port, b"Connection: close")
    for parts in ((given,), (given[:-10], given[-10:])):
        heard = await attack(port, *parts, *([] if more else [last]), pause_s=0.1)
        assert (set(heard.statuses), heard.closed) == ({200}, True)
    assert len(gate.calls) == (2 if more else 4)


@pytest.mark.parametrize(
    ("begun", "statuses"),
    [(b"", []), (b"\r\n", []), (b"P", [408]), (b"GET / HTTP/1.1\r\nA: b\r\n", [408])],
)
async def test_a_head_has_its_time(port: AgentsPort, begun: bytes, statuses: list[int]) -> None:
    """Who has said nothing is told nothing."""
    before = time.monotonic()
    heard = await attack(port, begun)
    assert (heard.statuses, heard.closed) == (statuses, True)
    assert 0.2 < time.monotonic() - before < 2


async def test_dripping_does_not_prolong_it(port: AgentsPort) -> None:
    """The time runs from the first byte to the last."""
    before = time.monotonic()
    heard = await attack(port, *[b"P", b"O", b"S", b"T", b" ", b"/"], *[b"a"] * 20, pause_s=0.1)
    assert (heard.status, heard.code) == (408, "headers-timeout")
    assert time.monotonic() - before < 1


async def test_a_later_head_has_its_time_too(port: AgentsPort) -> None:
    """From its own first byte; between two requests a connection may idle for longer."""
    heard = await attack(port, call(port), b"", b"", b"", b"", b"P", pause_s=0.1)
    assert heard.statuses == [200, 408]


async def test_an_answer_that_is_not_read_is_given_up(
    port: AgentsPort, gate: RecordingGate
) -> None:
    """A reader that stops is cut off; the call itself was done."""
    gate.answer = large
    with socket.create_connection(("127.0.0.1", port.port)) as deaf:
        deaf.setblocking(False)
        deaf.sendall(call(port))
        await asyncio.sleep(1.2)
        assert len(await drained(deaf)) < len(LARGE)
    assert len(gate.calls) == 1


async def test_an_answer_that_is_read_slowly_is_whole(
    port: AgentsPort, gate: RecordingGate
) -> None:
    """As long as the reader goes on, it may take longer than one while."""
    gate.answer = large
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port, limit=65_536)
    writer.write(call(port, b"Connection: close"))
    size = 0
    while chunk := await reader.read(500_000):
        size += len(chunk)
        await asyncio.sleep(0.02)
    writer.close()
    await writer.wait_closed()
    assert size > len(LARGE)


def large(given: ToolCall) -> Answer:
    return replace(done(given), result=LARGE)


async def drained(deaf: socket.socket) -> bytes:
    """Read what is there until the other end is gone, or two seconds."""
    loop, heard = asyncio.get_running_loop(), b""
    try:
        async with asyncio.timeout(2):
            while chunk := await loop.sock_recv(deaf, 1 << 20):
                heard += chunk
    except (TimeoutError, ConnectionError):
        return heard
    return heard


@pytest.mark.parametrize("said", [b"", b"GET /", b"whole", b"body"])
async def test_spare_connections_give_way(port: AgentsPort, said: bytes) -> None:
    """Silent ones, half heads, idle ones and half bodies; there are never more than the bound."""
    if said == b"whole":
        said = call(port)
    elif said == b"body":
        said = call(port)[:-1]
    with ExitStack() as flood:
        for _ in range(12):
            address = ("127.0.0.1", port.port)
            flood.enter_context(socket.create_connection(address)).sendall(said)
            await asyncio.sleep(0.01)
        heard = await attack(port, call(port, b"Connection: close"))
    assert heard.status == 200


async def test_calls_under_way_do_not_give_way(port: AgentsPort, gate: RecordingGate) -> None:
    """The one too many is turned away."""
    gate.hold = asyncio.Event()
    given = call(port, b"Connection: close")
    calls = [asyncio.create_task(attack(port, given)) for _ in range(4)]
    while len(gate.calls) < 4:
        await asyncio.sleep(0.01)
    turned_away = await attack(port, given)
    assert (turned_away.status, turned_away.code) == (503, "too-many-connections")
    gate.hold.set()
    assert [heard.status for heard in await asyncio.gather(*calls)] == [200] * 4


async def test_a_refused_body_ends_its_request_for_the_door(
    port: AgentsPort, gate: RecordingGate
) -> None:
    """The door hears that the client has gone; there is one answer."""
    head = request(port.url, TOKEN, CHUNKED, without=[b"content-length"], body=b"")
    heard = await attack(port, head, b"1\r\n{\r\nX", pause_s=0.1)
    assert (heard.statuses, heard.code, gate.calls) == ([400], "malformed-request", [])
