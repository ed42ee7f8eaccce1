"""A59: proxies, passwords and authorities that the environment names for everybody's clients."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.certificates import make_certificates
from tests.harness.gateway import Gateway
from tests.harness.mcp_on_wire import McpServer
from tests.harness.recorder import Recorder
from tests.harness.wire import Wire
from tests.harness.world import World, http_tool

BAIT = "AKIAQ7HONEYTOKEN42XY"
PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "WS_PROXY"]
NETRC = "machine 127.0.0.1 login of password netrc\ndefault login of password netrc\n"


@dataclass
class Around:
    """Everything a gateway could be led to, and the traps beside it."""

    recorder: Recorder
    trap: Wire
    mcp: McpServer
    tls: Wire
    receiver: Wire
    directory: Path


@pytest.fixture
async def around(tmp_path: Path, recorder: Recorder) -> AsyncIterator[Around]:
    """A plain tool, an MCP server, a TLS tool nobody vouches for, a webhook and a trap."""
    _, server = make_certificates(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server)
    async with Wire() as trap, Wire() as mcp, Wire(tls=context) as tls, Wire() as receiver:
        speaking = McpServer(mcp)
        mcp.handler = speaking.handle
        yield Around(recorder, trap, speaking, tls, receiver, tmp_path)


@pytest.fixture
def misled(world: World, around: Around) -> World:
    """A world whose environment names the traps for everything."""
    home = around.directory / "home"
    home.mkdir()
    netrc = home / ".netrc"
    netrc.write_text(NETRC)
    netrc.chmod(0o600)
    authority = str(around.directory / "authority.pem")
    names = [*PROXIES, *(name.lower() for name in PROXIES)]
    world.environ = {
        **dict.fromkeys(names, around.trap.url),
        "NO_PROXY": "", "no_proxy": "",
        "HOME": str(home), "NETRC": str(netrc),
        "SSL_CERT_FILE": authority, "SSL_CERT_DIR": str(around.directory),
        "REQUESTS_CA_BUNDLE": authority, "CURL_CA_BUNDLE": authority,
        "SSLKEYLOGFILE": str(around.directory / "keys.log"),
        "BAIT": BAIT, "HOOK": "whsec-test-0123456789abcdef0123456789",
    }  # fmt: skip
    world.tools["tls"] = {"read": http_tool("GET", "/read", "read")}
    base = f"https://localhost:{around.tls.port}"
    world.servers = {
        "tls": {"http": {"base_url": base}, "allow_private": True},
        "mcp": {"mcp": {"url": around.mcp.wire.url}, "allow_private": True},
    }
    webhook = {"url": around.receiver.url, "secret": {"env": "HOOK"}}
    world.settings = {
        "canaries": [{"name": "bait", "token": {"env": "BAIT"}}],
        "alerts": [{"webhook": webhook | {"url": base}}, {"webhook": webhook}],
    }
    return world


async def test_the_environment_leads_nowhere(misled: World, around: Around) -> None:
    """Tools, MCP servers and webhooks are reached directly, with no password and no new trust."""
    async with Gateway(misled) as gateway:
        assert (await gateway.call("write", {"text": "x"}))[0] == 200
        status, answer = await gateway.call("read", server="tls")
        assert (status, answer["outcome"]) == (502, "failed")
        assert (await gateway.call("write", {"text": BAIT}))[0] == 403
        async with asyncio.timeout(5):
            while not around.receiver.requests:
                await asyncio.sleep(0.01)
        assert around.mcp.heard("initialize")
    assert (around.trap.connections, around.trap.bytes_seen) == (0, 0)
    assert around.tls.requests == []
    (call,) = around.recorder.received
    assert "Authorization" not in call.headers
    assert all(one.header("authorization") is None for one in around.mcp.wire.requests)
    assert around.receiver.requests[0].header("authorization") is None
    assert b"SECRET" not in _read(around.directory / "keys.log")


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.exists() else b""
