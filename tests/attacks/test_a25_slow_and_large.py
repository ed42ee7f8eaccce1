"""A25: too much head, too long a target, and clients that are slow on purpose."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

import pytest

from tests.harness.gateway import Gateway
from tests.harness.processes import memory_of
from tests.harness.raw import Heard, request, say
from tests.harness.recorder import Recorder
from tests.harness.standing import PORTS, Standing
from tests.harness.world import World

pytestmark = pytest.mark.alone

module = pytest.mark.asyncio(loop_scope="module")

HEADS = {
    "200 headers": ([b"X-%d: a" % n for n in range(200)], 431),
    "65 headers": ([b"X-%d: a" % n for n in range(61)], 431),
    "one of 64 KB": ([b"X-A: " + b"a" * 65_536], 431),
    "one of 17 KB": ([b"X-A: " + b"a" * 17_408], 431),
    "a name of 64 KB": ([b"X" * 65_536 + b": a"], 431),
    "a token of 64 KB": ([b"X-Token: dta_" + b"a" * 65_536], 431),
    "many small ones": ([b"a:"] * 20_000, 431),
}
TARGETS = {
    "a path of 16 KB": (b"/" + b"a" * 16_384, 414),
    "a path of 1 MB": (b"/" + b"a" * 1_048_576, 414),
    "a query of 16 KB": (b"/v1/calls?a=" + b"a" * 16_384, 414),
    "a query of 3 KB": (b"/v1/calls?a=" + b"a" * 3_072, 414),
}


@module
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(("fields", "status"), HEADS.values(), ids=HEADS)
async def test_a_head_over_its_bounds_is_refused(
    standing: Standing, port: str, fields: list[bytes], status: int
) -> None:
    """In number or in size; the connection is closed and the tool receives 0 bytes."""
    heard = await standing.attack(port, *fields)
    assert (heard.status, heard.closed) == (status, True)
    assert await standing.nothing_happened()


@module
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(("target", "status"), TARGETS.values(), ids=TARGETS)
async def test_a_target_over_its_bounds_is_refused(
    standing: Standing, port: str, target: bytes, status: int
) -> None:
    """Path or query, whole or in parts."""
    given = standing.request(port, line=b"POST %b HTTP/1.1" % target)
    middle = len(given) // 2
    for parts in ((given,), (given[:middle], given[middle:])):
        heard = await standing.say(port, *parts)
        assert (heard.status, heard.closed) == (status, True)
    assert await standing.nothing_happened()


@module
@pytest.mark.parametrize("port", PORTS)
async def test_a_head_without_end_is_cut_off(standing: Standing, port: str) -> None:
    """Long before memory is: the bound holds while the head is still coming."""
    head = standing.request(port, b"X-A: ", body=b"")[:-4]
    before = time.monotonic()
    heard = await standing.say(port, head, *[b"a" * 4_096] * 2_000)
    assert (heard.statuses, heard.closed) == ([431], True)
    assert time.monotonic() - before < 5


@module
async def test_framing_without_a_body_is_cut_off(standing: Standing) -> None:
    """A chunk's extension or a trailer of any length is not a way to send without end."""
    fields = (b"Transfer-Encoding: chunked",)
    for endless in (b"1;" + b"a" * 1_048_576, b"1\r\n{\r\n0\r\nX-A: " + b"a" * 1_048_576):
        given = standing.request("agents", *fields, without=[b"content-length"], body=endless)
        parts = [given[at : at + 8_192] for at in range(0, len(given), 8_192)]
        heard = await standing.say("agents", *parts)
        assert (heard.status, heard.closed) == (400, True)
    assert standing.recorder.received == []


async def dripping(url: str, head: bytes, drop: bytes, every_s: float) -> tuple[Heard, float]:
    """Send a head, then drops without end; return what was heard, and after how many seconds."""
    before = time.monotonic()
    heard = await say(url, head, *[drop] * 1_000, pause_s=every_s, wait_s=25)
    return heard, time.monotonic() - before


@pytest.mark.timeout(90)
async def test_slow_clients_are_hung_up_on_together(gateway: Gateway, recorder: Recorder) -> None:
    """A head has ten seconds and so has a body, however it drips; one that never begins as well."""
    agent, url = gateway.world.agent_token, gateway.agents
    head = request(url, agent)[:60]
    body = request(url, agent, b"Content-Length: 1000", without=[b"content-length"])
    chunks = request(
        url, agent, b"Transfer-Encoding: chunked", without=[b"content-length"], body=b""
    )
    attacks = {
        "silent": (url, b"", b"", 30.0),
        "line": (url, b"POST", b" ", 0.5),
        "target": (url, b"GET /", b"a", 0.5),
        "head": (url, head, b"X-A: b\r\n", 0.5),
        "name": (url, head, b"a", 0.5),
        "empty lines": (url, b"\r\n", b"\r\n", 0.5),
        "operators": (gateway.operators, b"GET /k", b"a", 0.5),
        "body": (url, body, b" ", 0.5),
        "chunks": (url, chunks, b"1\r\n \r\n", 0.5),
        "extension": (url, chunks + b"1;", b"a", 0.5),
    }
    found = await asyncio.gather(*(dripping(*attack) for attack in attacks.values()))
    answers = dict(zip(attacks, found, strict=True))
    for name, (heard, seconds) in answers.items():
        assert heard.closed, name
        assert heard.statuses == ([] if name in ("silent", "empty lines") else [408]), name
        assert 8 < seconds < 15, name
    assert (await gateway.call("write", {"text": "x"}))[0] == 200
    assert len(recorder.received) == 1


async def test_a_later_request_has_as_long_as_the_first(gateway: Gateway) -> None:
    """On a kept connection the time begins with its first byte."""
    url = gateway.agents
    first = request(url, gateway.world.agent_token)
    before = time.monotonic()
    heard = await say(url, first, b"POST /v1/calls HT", pause_s=3, wait_s=25)
    assert (heard.statuses, heard.closed) == ([200, 408], True)
    assert 12 < time.monotonic() - before < 18


@pytest.fixture
async def crowded(world: World) -> AsyncIterator[Gateway]:
    """A gateway whose agents' port holds twenty connections."""
    ports = {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0"}
    world.settings = {"listen": ports | {"max_connections": 20}}
    async with Gateway(world) as gateway:
        yield gateway


@pytest.mark.parametrize("said", [b"", b"POST /v1/calls HTTP/1.1\r\n", b"whole"])
async def test_idle_connections_keep_nobody_out(crowded: Gateway, said: bytes) -> None:
    """Of a flood that holds connections and asks for nothing, some are dropped for a call."""
    url = crowded.agents
    if said == b"whole":
        said = request(url, "x", body=b"")[:-1] + b"\nX"
    host, _, port = url.removeprefix("http://").rpartition(":")
    with ExitStack() as flood:
        for _ in range(60):
            flood.enter_context(socket.create_connection((host, int(port)))).sendall(said)
        status, answer = await crowded.call("write", {"text": "x"})
        assert (status, answer["outcome"]) == (200, "done")
        assert (await crowded.operate("GET", "/killswitch"))[0] == 200


async def test_calls_that_are_under_way_are_not_dropped_for_others(
    crowded: Gateway, recorder: Recorder
) -> None:
    """When every connection has one, the next is turned away with 503, and operators are not."""
    url, token = crowded.agents, crowded.world.agent_token
    body = b'{"server":"rec","tool":"hold","arguments":{}}'
    calls = [
        asyncio.create_task(say(url, request(url, token, b"Connection: close", body=body)))
        for _ in range(20)
    ]
    async with asyncio.timeout(10):
        while len(recorder.received) < 20:
            await asyncio.sleep(0.02)
    turned_away = await say(url, request(url, token), wait_s=5)
    assert (turned_away.status, turned_away.code) == (503, "too-many-connections")
    assert (await crowded.operate("GET", "/killswitch"))[0] == 200
    recorder.release.set()
    assert {heard.status for heard in await asyncio.gather(*calls)} == {200}
    assert len(recorder.received) == 20


def endless(url: str) -> bytes:
    """Return a request without a token whose body of a megabyte lacks its last byte."""
    body = b" " * 1_000_000
    length = b"Content-Length: %d" % (len(body) + 1)
    return request(url, "x", length, body=body, without=[b"content-length"])


async def test_strangers_do_not_fill_the_memory(gateway: Gateway, recorder: Recorder) -> None:
    """Three hundred bodies of a megabyte that never end, without a token: calls go on."""
    url = gateway.agents
    before = memory_of(gateway.pid)
    flood = [asyncio.create_task(say(url, endless(url), wait_s=20)) for _ in range(300)]
    await asyncio.sleep(4)
    answers = [await gateway.call("write", {"text": "x" * length}) for length in (1, 500_000)]
    grown = memory_of(gateway.pid) - before
    for one in flood:
        one.cancel()
    await asyncio.gather(*flood, return_exceptions=True)
    assert [status for status, _ in answers] == [200, 200]
    assert len(recorder.received) == 2
    assert grown < 200_000_000


@pytest.mark.slow
async def test_an_answer_nobody_reads_is_given_up(gateway: Gateway, recorder: Recorder) -> None:
    """Within a minute: half of one after the queues between us are full. The call was done."""
    recorder.reply = {"text": "x" * 12_000_000}
    url, token = gateway.agents, gateway.world.agent_token
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port))) as deaf:
        deaf.sendall(request(url, token))
        await asyncio.sleep(65)
        heard = 0
        with suppress(ConnectionError):
            while chunk := deaf.recv(1 << 20):
                heard += len(chunk)
    assert 0 < heard < 12_000_000
    assert await gateway.wrote("not read in time")
    _, listed = await gateway.operate("GET", "/v1/intents?state=done")
    assert len(listed["intents"]) == 1
