"""A77: what the ports tell whoever can connect, and who can connect."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.config.settings import Listen
from proxy.model.token import TokenKind, new_token
from tests.harness.gateway import Gateway
from tests.harness.processes import children_of, opa_of
from tests.harness.standing import PORTS, Standing
from tests.harness.world import World

module = pytest.mark.asyncio(loop_scope="module")

PATHS = [
    "/", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/openapi.yaml", "/swagger",
    "/debug", "/debug/pprof/", "/debug/vars", "/console", "/admin", "/.env", "/.git/config",
    "/detent.yaml", "/server-status", "/status", "/info", "/version", "/health", "/healthz/x",
    "/metrics", "/metrics/", "/v1", "/v1/sessions", "/v1/decisions", "/v1/intents", "/v1/data",
    "/v1/approvals", "/v1/chains/x", "/v1/dry-run", "/v1/policies", "/v1/calls", "/killswitch",
    "/v1/findings", "/killswitch/1", "/mcp", "/mcp/rec", "/http/rec/read", "/hooks/claude-code",
    "/favicon.ico",
]  # fmt: skip
PROBES = {"agents": ["/healthz", "/readyz"], "operators": ["/healthz"]}
TOLD = {"content-type", "content-length", "cache-control", "x-content-type-options", "date"} | {
    "connection",
    "allow",
    "www-authenticate",
}
WORDS = {"type", "title", "status", "code", "detail", "reasons"} | {"jsonrpc", "id", "error"}
NOBODY = ["", "Bearer", f"Bearer {new_token(TokenKind.AGENT)}", "Basic YWRtaW46YWRtaW4="]


@module
@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("path", PATHS)
async def test_a_stranger_is_told_nothing(standing: Standing, port: str, path: str) -> None:
    """Not there, not this way, or not without a token: the same few words for everybody."""
    known = {"not-found", "method-not-allowed", "not-authenticated", "agent-token"}
    async with aiohttp.ClientSession() as http:
        for authorization in NOBODY:
            headers = {"Authorization": authorization}
            async with http.get(standing.url(port) + path, headers=headers) as answer:
                document = await answer.json(content_type=None)
                assert answer.status in {401, 403, 404, 405}
                assert told_by(document) in known
                assert set(document) <= WORDS
                assert {name.lower() for name in answer.headers} <= TOLD


def told_by(document: Any) -> str:
    """Return the code of a problem, or the reason in a JSON-RPC error."""
    reasons = document.get("error", {}).get("data", {}).get("reasons", [{"id": ""}])
    return str(document.get("code") or reasons[0]["id"])


@module
@pytest.mark.parametrize("port", PORTS)
async def test_a_probe_is_a_status_and_nothing_else(standing: Standing, port: str) -> None:
    """Neither version nor name nor number, whatever it is asked with."""
    async with aiohttp.ClientSession() as http:
        for path in PROBES[port]:
            for query in ("", "?verbose=1", "?format=json"):
                async with http.get(standing.url(port) + path + query) as answer:
                    assert (answer.status, await answer.read()) == (200, b"")
                    assert {name.lower() for name in answer.headers} <= TOLD


@module
async def test_an_agents_token_reads_no_metrics(standing: Standing) -> None:
    """They are the operators', on the operators' port."""
    agent, operator = standing.gateway.world.agent_token, standing.gateway.world.operator_token
    expected = {("agents", agent): 404, ("agents", operator): 404, ("operators", agent): 403}
    async with aiohttp.ClientSession() as http:
        for (port, token), status in expected.items():
            headers = {"Authorization": f"Bearer {token}"}
            async with http.get(standing.url(port) + "/metrics", headers=headers) as answer:
                assert answer.status == status


@module
async def test_everything_listens_on_loopback_only(standing: Standing) -> None:
    """Both ports and whatever our children open: nobody else can connect."""
    family = [standing.gateway.pid, *children_of(standing.gateway.pid)]
    listening = {address for pid in family for address in listening_at(pid)}
    ports = {int(url.rpartition(":")[2]) for url in map(standing.url, PORTS)}
    assert ports <= {port for _, port in listening}
    assert all(host.is_loopback for host, _ in listening)


Address = tuple[IPv4Address | IPv6Address, int]


def listening_at(pid: int) -> set[Address]:
    """Return the TCP addresses a process accepts connections at (proc(5), net/tcp)."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    sockets = {str(link.readlink()) for link in links if link.is_symlink()}
    found: set[Address] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.add(_address(fields[1]))
    return found


def _address(text: str) -> Address:
    packed, _, port = text.partition(":")
    words = [bytes.fromhex(packed[at : at + 8])[::-1] for at in range(0, len(packed), 8)]
    return ip_address(b"".join(words)), int(port, 16)


async def test_the_default_is_loopback() -> None:
    """And anything else takes TLS, our own or somebody's in front."""
    assert Listen().agents.is_loopback
    assert Listen().operators.is_loopback
    for name in ("agents", "operators"):
        with pytest.raises(ValueError, match="tls_cert"):
            Listen.model_validate({name: "0.0.0.0:8787"})


@asynccontextmanager
async def stopped(pids: Iterable[int]) -> AsyncIterator[None]:
    """Hold these processes."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def readiness(gateway: Gateway) -> tuple[int, bytes]:
    """Ask the probe; a look is kept for a second."""
    await asyncio.sleep(1.05)
    async with aiohttp.ClientSession() as http, http.get(gateway.agents + "/readyz") as answer:
        return answer.status, await answer.read()


@pytest.fixture
def hasty(world: World) -> World:
    """A world whose policy has to answer soon."""
    world.deadline = "250ms"
    return world


async def test_readiness_is_more_than_running(hasty: World) -> None:
    """A policy that hangs and a ledger that is locked are 503, without a word about why."""
    async with Gateway(hasty) as gateway:
        assert await readiness(gateway) == (200, b"")
        async with stopped([opa_of(gateway.pid)]):
            assert await readiness(gateway) == (503, b"")
        async with asyncio.timeout(20):
            while await readiness(gateway) != (200, b""):
                await asyncio.sleep(0.1)
        with sqlite3.connect(hasty.database, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            assert await readiness(gateway) == (503, b"")
            other.execute("ROLLBACK")
        other.close()
        assert await readiness(gateway) == (200, b"")
