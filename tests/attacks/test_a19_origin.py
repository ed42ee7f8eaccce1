"""A19: a web page asks, from another site, from nowhere, or under a rebound name."""

import json

import pytest

from tests.harness.gateway import Gateway
from tests.harness.raw import authority_of, request, say
from tests.harness.recorder import Recorder
from tests.harness.standing import PORTS, Standing
from tests.harness.world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOREIGN = [
    b"https://evil.test",
    b"null",
    b"",
    b"file://",
    b"http://localhost",
    b"http://localhost:6274",
    b"https://%b",
    b"http://%b.evil.test",
    b"http://evil.test/%b",
]
INSPECTOR = b"http://localhost:6274"
RPC = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
CALL = json.dumps(RPC | {"params": {"name": "rec__write", "arguments": {}}}).encode()


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_page_is_refused(standing: Standing, port: str, origin: bytes) -> None:
    """403 although its token is valid; the tool receives 0 bytes and nothing is killed."""
    own = authority_of(standing.url(port)).encode()
    heard = await standing.attack(port, b"Origin: " + origin.replace(b"%b", own))
    assert (heard.status, heard.code) == (403, "wrong-origin")
    assert b"access-control" not in heard.raw
    assert await standing.nothing_happened()


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_foreign_page_is_refused_at_mcp(standing: Standing, origin: bytes) -> None:
    """Before a session is opened or a message is read."""
    own = authority_of(standing.url("agents")).encode()
    line, field = b"POST /mcp HTTP/1.1", b"Origin: " + origin.replace(b"%b", own)
    heard = await standing.attack("agents", field, line=line, body=CALL)
    assert (heard.status, heard.closed) == (403, True)
    assert await standing.nothing_happened()


@pytest.mark.parametrize("port", PORTS)
async def test_a_rebound_name_is_refused(standing: Standing, port: str) -> None:
    """The page's own name in Host and Origin: DNS rebinding."""
    fields = (b"Host: evil.example.com", b"Origin: http://evil.example.com")
    heard = await standing.attack(port, *fields, without=[b"host"])
    assert (heard.status, heard.code) == (421, "wrong-host")
    assert await standing.nothing_happened()


async def test_the_operators_port_takes_no_page_at_all(standing: Standing) -> None:
    """Not even one of its own address: no page is served there."""
    own = authority_of(standing.url("operators")).encode()
    heard = await standing.attack("operators", b"Origin: http://" + own)
    assert heard.status == 403
    assert await standing.nothing_happened()


async def test_the_agents_port_takes_its_own_address(standing: Standing) -> None:
    """Some clients say where they ask as where they come from; Host and Origin have to agree."""
    own = authority_of(standing.url("agents")).encode()
    alias = own.replace(b"127.0.0.1", b"localhost")
    for host, origin, status in ((own, own, 200), (alias, alias, 200), (own, alias, 403)):
        fields = (b"Host: " + host, b"Origin: http://" + origin, b"Connection: close")
        heard = await standing.attack("agents", *fields, without=[b"host"])
        assert heard.status == status
    assert len(standing.recorder.received) == 2


@pytest.mark.parametrize("method", [b"POST", b"DELETE", b"PUT"])
@pytest.mark.parametrize("port", PORTS)
async def test_a_preflight_permits_nothing(standing: Standing, port: str, method: bytes) -> None:
    """A browser that asks first is told nothing it could go on with."""
    fields = (b"Origin: https://evil.test", b"Access-Control-Request-Method: " + method)
    for path in (b"/mcp", b"/v1/calls", b"/killswitch"):
        line = b"OPTIONS %b HTTP/1.1" % path
        heard = await standing.attack(port, *fields, line=line, body=b"")
        assert heard.status == 403
        assert b"access-control" not in heard.raw


@pytest.mark.asyncio(loop_scope="function")
async def test_only_a_listed_page_is_let_in(world: World, recorder: Recorder) -> None:
    """`listen.origins` names it, for the agents' port alone."""
    ports = {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0"}
    world.settings = {"listen": ports | {"origins": [INSPECTOR.decode()]}}
    fields = (b"Origin: " + INSPECTOR, b"Connection: close")
    async with Gateway(world) as gateway:
        asked = await say(gateway.agents, request(gateway.agents, world.agent_token, *fields))
        line, url = b"POST /killswitch HTTP/1.1", gateway.operators
        told = await say(url, request(url, world.operator_token, *fields, line=line, body=b"{}"))
    assert (asked.status, told.status) == (200, 403)
    assert b"access-control-allow-origin: " + INSPECTOR in asked.raw
    assert len(recorder.received) == 1
