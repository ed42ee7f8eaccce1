"""Run by test_a57_rebinding.py in a network of its own: real resolver, real sockets, real TLS.

Servers listen on a public, a private, a loopback and a metadata address that all can be reached.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient, EgressLimits, EgressRequest
from proxy.errors import UpstreamFailed
from tests.harness.certificates import make_certificates
from tests.harness.dns import NameServer
from tests.harness.gateway import Gateway
from tests.harness.own_network import (
    ADDRESSES,
    METADATA,
    PRIVATE,
    PUBLIC,
    PUBLIC_V6,
    give_addresses,
    is_inside,
)
from tests.harness.wire import Received, Wire, answer
from tests.harness.world import World

CACHED_S = 11  # names are kept for ten seconds
NAME = "api.example.com"
URL = f"https://{NAME}/data"
LISTENING = {
    PUBLIC,
    PUBLIC_V6,
    PRIVATE,
    METADATA,
    "127.0.0.1",
    "::1",
    "100.64.0.1",
    "fd00:ec2::254",
}
ANY = "0.0.0.0"  # noqa: S104 an address that must not be connected to
NEVER = [METADATA, "fd00:ec2::254", f"::ffff:{METADATA}", "64:ff9b::a9fe:a9fe", ANY, "::"]
SPECIAL = [
    "127.0.0.1", "127.0.0.2", "::1", PRIVATE, "100.64.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "fd00::1", "192.168.0.1",
]  # fmt: skip
Wires = dict[str, Wire]


@pytest.fixture(scope="session", autouse=True)
def _network() -> None:
    assert is_inside(), "run test_a57_rebinding.py"
    give_addresses(ADDRESSES)


@pytest.fixture
def pems(tmp_path: Path) -> tuple[Path, Path]:
    """The authority, and the server's certificate for the name."""
    return make_certificates(tmp_path, NAME)


@pytest.fixture
async def wires(pems: tuple[Path, Path]) -> AsyncIterator[Wires]:
    """One server on port 443 of each address, by address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pems[1])
    async with AsyncExitStack() as open_:
        yield {
            host: await open_.enter_async_context(Wire(tls=context, host=host, port=443))
            for host in LISTENING
        }


async def ask(names: dict[str, str], pems: tuple[Path, Path], times: int = 1) -> str:
    """Ask the name so often, each time as if for the first time; return how the last one went."""
    said = ""
    async with NameServer(names, port=53):
        for _ in range(times):
            client = EgressClient(
                URL, AddressPolicy(), EgressLimits(connect_timeout_s=2), str(pems[0])
            )
            try:
                request = EgressRequest("GET", URL, {}, timeout_s=4)
                said = str((await client.request(request, lambda: None)).status)
            except UpstreamFailed as failed:
                said = str(failed)
            finally:
                await client.close()
    return said


def reached(wires: Wires) -> set[str]:
    """Return the addresses somebody has connected to."""
    return {host for host, wire in wires.items() if wire.connections}


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_V6])
async def test_a_public_address_is_connected_to(
    wires: Wires, pems: tuple[Path, Path], address: str
) -> None:
    """And asked by the name: SNI, certificate and Host are the configured ones."""
    assert await ask({NAME: address}, pems) == "200"
    assert reached(wires) == {address}
    assert wires[address].requests[0].header("host") == NAME


@pytest.mark.parametrize("address", NEVER + SPECIAL)
async def test_a_name_that_means_a_special_address_is_not_connected_to(
    wires: Wires, pems: tuple[Path, Path], address: str
) -> None:
    """However it is spelled as an address; nobody hears a byte."""
    assert "does not connect" in (said := await ask({NAME: address}, pems)) or "never" in said
    assert reached(wires) == set()


@pytest.mark.parametrize("address", NEVER)
async def test_permission_does_not_open_metadata(
    wires: Wires, pems: tuple[Path, Path], address: str
) -> None:
    """`allow_private` is for private addresses, not for these."""
    async with NameServer({NAME: address}, port=53):
        client = EgressClient(URL, AddressPolicy(allow_private=True), None, str(pems[0]))
        with pytest.raises(UpstreamFailed):
            await client.request(EgressRequest("GET", URL, {}, timeout_s=4), lambda: None)
        await client.close()
    assert reached(wires) == set()


@pytest.mark.parametrize("then", ["127.0.0.1", PRIVATE, METADATA, "::1"])
async def test_a_name_that_changes_its_mind_is_not_followed(
    wires: Wires, pems: tuple[Path, Path], then: str
) -> None:
    """Public at the first question, private at the next: that connection is not made."""
    said = await ask({NAME: f"{PUBLIC}|{then}"}, pems, times=2)
    assert "the gateway" in said
    assert reached(wires) == {PUBLIC}
    assert len(wires[PUBLIC].requests) == 1


@pytest.mark.parametrize(
    "addresses",
    [f"{PUBLIC},127.0.0.1", f"127.0.0.1,{PUBLIC}", f"{PUBLIC},{METADATA}", f"{PUBLIC},::1"],
)
async def test_one_bad_address_among_good_ones_spoils_the_name(
    wires: Wires, pems: tuple[Path, Path], addresses: str
) -> None:
    """Whichever comes first: not even the good one is connected to."""
    assert "the gateway" in await ask({NAME: addresses}, pems)
    assert reached(wires) == set()


@pytest.mark.parametrize(
    ("end", "hosts"), [(PUBLIC, {PUBLIC}), ("127.0.0.1", set()), (METADATA, set())]
)
async def test_aliases_are_judged_by_where_they_end(
    wires: Wires, pems: tuple[Path, Path], end: str, hosts: set[str]
) -> None:
    """A chain of CNAMEs, however plausible its names."""
    names = {NAME: ">cdn.example.net", "cdn.example.net": ">edge.example.org"}
    said = await ask(names | {"edge.example.org": end}, pems)
    assert reached(wires) == hosts
    assert (said == "200") is bool(hosts)


async def test_a_name_may_be_private_when_its_server_says_so(
    wires: Wires, pems: tuple[Path, Path]
) -> None:
    """Then the private address is connected to, by the same name."""
    async with NameServer({NAME: PRIVATE}, port=53):
        client = EgressClient(URL, AddressPolicy(allow_private=True), None, str(pems[0]))
        request = EgressRequest("GET", URL, {}, timeout_s=4)
        assert (await client.request(request, lambda: None)).status == 200
        await client.close()
    assert reached(wires) == {PRIVATE}


async def test_many_at_once_are_all_refused(wires: Wires, pems: tuple[Path, Path]) -> None:
    """No race between asking and connecting lets one through."""
    flipping = "|".join([PUBLIC, "127.0.0.1"] * 20)
    async with NameServer({NAME: flipping}, port=53):
        client = EgressClient(URL, AddressPolicy(), EgressLimits(keepalive_s=0), str(pems[0]))
        asked = [
            client.request(EgressRequest("GET", URL, {}, timeout_s=4), lambda: None)
            for _ in range(30)
        ]
        await asyncio.gather(*asked, return_exceptions=True)
        await client.close()
    assert reached(wires) <= {PUBLIC}


async def test_the_gateway_itself_does_not_follow(tmp_path: Path) -> None:
    """A configured server whose name turns into the metadata service is a server that failed."""
    world = World(tmp_path, "http://tools.internal:8080")
    names = {"tools.internal": f"{PRIVATE}|{METADATA}"}
    async with (
        NameServer(names, port=53),
        Wire(closing, host=PRIVATE, port=8080) as tools,
        Wire(closing, host=METADATA, port=8080) as metadata,
        Gateway(world) as gateway,
    ):
        assert (await gateway.call("write", {"text": "x"}))[0] == 200
        await asyncio.sleep(CACHED_S)
        status, answer = await gateway.call("write", {"text": "x"})
        assert (status, answer["outcome"]) == (502, "failed")
        assert (len(tools.requests), metadata.connections) == (1, 0)


async def closing(received: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"{}", connection="close"))
    await writer.drain()
    writer.close()
