import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.app.assemble import Assembled, assemble
from proxy.config import Settings, load_settings
from proxy.errors import ConfigError, PolicyInvalid
from proxy.killswitch.keeper import LeaseKeeper
from proxy.killswitch.lease_thread import LeaseThread
from proxy.observability.masking import MASK, Masker
from tests.harness.world import World

KEY = "a-secret-of-more-than-32-characters"


def settings(world: World, **blocks: Any) -> Settings:
    world.settings = blocks
    return load_settings(world.write(), {})


@asynccontextmanager
async def served(
    given: Settings,
) -> AsyncIterator[tuple[Assembled, tuple[str, ...], httpx.AsyncClient]]:
    """Serve both ports of a gateway that was not started: its doors answer all the same."""
    built = assemble(given, {}, Masker())
    servers = built.bind()
    try:
        await servers.start()
        async with httpx.AsyncClient(trust_env=False) as http:
            yield built, servers.urls, http
        await servers.stop()
    finally:
        servers.close()
        await built.gateway.stop()
        built.cleanup()


def taken(sock: socket.socket) -> str:
    """Listen there and return the address."""
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return f"127.0.0.1:{sock.getsockname()[1]}"


async def test_every_secret_is_masked_before_anything_is_built_with_it(world: World) -> None:
    """Also when something else fails behind it."""
    canary = {"name": "bait", "token": {"env": "KEY"}}
    broken = {"jwt": {"issuer": "", "keys": "keys"}}
    masker = Masker()
    given = settings(world, canaries=[canary], credentials={"x": broken})
    with pytest.raises(ConfigError, match=r"credentials\.x: the issuer"):
        assemble(given, {"KEY": KEY}, masker)
    assert masker.mask(f"token {KEY}") == f"token {MASK}"


@pytest.mark.parametrize(
    ("blocks", "error", "problem"),
    [
        ({"policy": {"bundle": "none"}}, PolicyInvalid, "none: not a directory"),
        ({"policy": {"bundle": "policies", "opa": "/no"}}, ConfigError, "run `make setup`"),
        ({"servers": {"x": {"http": {"base_url": "http://x"}}}}, ConfigError, "servers.x: plain"),
        ({"alerts": [{"webhook": {"url": "x", "secret": {"env": "NO"}}}]}, ConfigError, "'NO'"),
    ],
)
async def test_what_cannot_be_assembled_leaves_nothing_behind(
    world: World, staging: Path, blocks: Any, error: type[Exception], problem: str
) -> None:
    """No staged copy, no connection that nobody closes, no ledger."""
    with pytest.raises(error, match=problem):
        assemble(settings(world, **blocks), {}, Masker())
    assert list(staging.iterdir()) == []
    assert not world.database.exists()


async def test_a_port_that_is_taken_binds_none(world: World) -> None:
    """The first one is free again."""
    with socket.socket() as first, socket.socket() as second:
        free, busy = taken(first), taken(second)
        first.close()
        built = assemble(settings(world, listen={"agents": free, "operators": busy}), {}, Masker())
        with pytest.raises(ConfigError, match=f"cannot listen on {busy}"):
            built.bind()
        await built.gateway.stop()
        built.cleanup()
    with socket.socket() as again:
        again.bind(("127.0.0.1", int(free.rpartition(":")[2])))


HOSTS = {
    "127.0.0.1:{port}": 200,
    "gateway.example": 200,
    "GATEWAY.example:{port}": 200,
    "other.example:444": 200,
    "other.example:{port}": 421,
    "evil.example:{port}": 421,
}


async def test_clients_reach_both_ports_under_the_names_of_the_settings(world: World) -> None:
    """A name without a port stands for ours too; others are refused (DNS rebinding)."""
    listen = {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0"}
    hosts = ["Gateway.example", "other.example:444"]
    got: dict[str, int] = {}
    async with served(settings(world, listen=listen | {"hosts": hosts})) as (_, urls, http):
        for url in urls:
            for host in HOSTS:
                named = host.format(port=url.rpartition(":")[2])
                answer = await http.get(f"{url}/healthz", headers={"Host": named})
                got[host] = answer.status_code
            assert got == HOSTS


async def test_the_public_keys_of_all_brokers_are_published(world: World) -> None:
    """Verifiers fetch them from the agents' port."""
    signed = {name: {"jwt": {"issuer": "https://x", "keys": name}} for name in ("one", "two")}
    async with served(settings(world, credentials=signed)) as (built, urls, http):
        got = (await http.get(f"{urls[0]}/.well-known/jwks.json")).json()
    kids = {one.active.kid for one in built.builder.key_directories.values()}
    assert {key["kid"] for key in got["keys"]} == kids
    assert len(kids) == 2


async def test_the_staged_copy_is_removed_at_the_end(world: World, staging: Path) -> None:
    """Nothing of ours stays on the disk but the ledger."""
    built = assemble(settings(world), {}, Masker())
    assert [place.name[:14] for place in staging.iterdir()] == ["detent-policy-"]
    built.cleanup()
    assert list(staging.iterdir()) == []
    await built.gateway.stop()


async def test_who_shares_a_ledger_keeps_its_lease_on_a_thread_of_its_own(world: World) -> None:
    """A process with a ledger of its own needs nobody's word, and no thread."""
    kinds = []
    for blocks in ({}, {"store": "postgresql://detent@127.0.0.1:1/ledger"}):
        built = assemble(settings(world, **blocks), {}, Masker())
        kinds.append(type(built.gateway.parts.keeper))
        await built.gateway.stop()
        built.cleanup()
    assert kinds == [LeaseKeeper, LeaseThread]
