"""A73: a call that changes something is at its tool when the kill comes.

The tool is told to stop, in the way of its era; the token it holds is no longer good where it is
verified; the ledger says that nobody knows what happened. Whether the effect is reversed is decided
by people: a kill starts no compensation.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest

from credentials.verify import InvalidToken, Verifier
from tests.harness.changing_mcp import pin_of
from tests.harness.gateway import Gateway
from tests.harness.mcp_on_wire import RESULTS, McpServer
from tests.harness.wire import Wire
from tests.harness.world import World

ISSUER, AUDIENCE = "https://detent.example", "https://notes.example"
KEYS = {"jwt": {"jwt": {"issuer": ISSUER, "keys": "var/keys"}}}
WRITE = {
    "pin": pin_of(RESULTS["tools/list"]["tools"][0]),
    "effect": "write",
    "recovery": "probe",
    "risk": 1,
    "timeout": "30s",
    "returns": "untrusted",
    "credential": {"broker": "jwt", "audience": AUDIENCE, "ceiling": ["notes:write"]},
}


@dataclass
class Holding:
    """A server that takes a call and never answers; `left` is set when its connection ends."""

    speaker: McpServer
    held: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_call(self, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Hold a call of the tool; what the gateway listens to itself stays open."""
        del writer
        if message["method"] == "tools/call":
            self.held.set()
        try:
            await asyncio.Event().wait()
        finally:
            if message["method"] == "tools/call":
                self.left.set()

    @property
    def call(self) -> Any:
        """The only call it received, as JSON."""
        (only,) = self.speaker.heard("tools/call")
        return json.loads(only.body)

    @property
    def token(self) -> str:
        """The credential that came with it."""
        (only,) = self.speaker.heard("tools/call")
        return (only.header("authorization") or "").removeprefix("Bearer ")


@pytest.fixture(params=["handshake", "stateless"])
async def holding(request: pytest.FixtureRequest) -> AsyncIterator[Holding]:
    wire = Wire()
    holding = Holding(McpServer(wire, stateless=request.param == "stateless"))
    holding.speaker.on_call, wire.handler = holding.on_call, holding.speaker.handle
    async with wire:
        yield holding


@pytest.fixture
def world(world: World, holding: Holding) -> World:
    world.servers = {"notes": {"mcp": {"url": holding.speaker.wire.url}, "allow_private": True}}
    world.tools = {"notes": {"echo": WRITE}}
    world.settings = {"credentials": KEYS}
    return world


async def test_a73_a_write_in_flight_is_cut_and_known_to_be_unknown(
    gateway: Gateway, holding: Holding
) -> None:
    """One kill: the caller, the tool, the credential, the report and the ledger agree."""
    calling = asyncio.create_task(gateway.call("echo", server="notes"))
    async with asyncio.timeout(20):
        await holding.held.wait()
    status, report = await gateway.operate("POST", "/killswitch")
    assert (status, report["in_flight"]) == (200, 1)
    status, answer = await asyncio.wait_for(calling, 10)
    assert (status, answer["outcome"], answer["reasons"][0]["id"]) == (503, "unknown", "killed")
    await told_to_stop(holding)
    await refused_where_it_is_verified(gateway, holding, report["epoch"])
    _, kill = await gateway.operate("GET", f"/killswitch/{report['epoch']}")
    assert [call["verdict"] for call in kill["calls"]] == ["unknown"]
    _, listed = await gateway.operate("GET", "/v1/intents?state=unknown")
    assert [intent["step_id"] for intent in listed["intents"]] == [answer["step_id"]]
    assert credential_states(gateway.world) == ["ended"]
    assert len(holding.speaker.heard("tools/call")) == 1


async def told_to_stop(holding: Holding) -> None:
    """The request is closed; a server of the handshake era is told by a notification as well."""
    async with asyncio.timeout(2):
        await holding.left.wait()
    if holding.speaker.stateless:
        assert holding.speaker.heard("notifications/cancelled") == []
        return
    (told,) = await holding.speaker.until("notifications/cancelled")
    assert json.loads(told.body)["params"]["requestId"] == holding.call["id"]


async def refused_where_it_is_verified(gateway: Gateway, holding: Holding, epoch: int) -> None:
    """The token was good, and is not for a resource that has heard of the kill."""
    _, jwks = await gateway.ask("GET", "/.well-known/jwks.json")
    issued = jwt.decode(holding.token, options={"verify_signature": False})["iat"]
    for floor, code in ((0, ""), (epoch, "epoch-stale")):
        assert verified(jwks, holding.token, floor, issued) == code


def verified(jwks: Any, token: str, floor: int, at: int) -> str:
    """Return why a token is refused at that time, empty when it is not."""
    verifier = Verifier(jwks, ISSUER, AUDIENCE, lambda _: floor, clock=lambda: at)
    try:
        verifier.verify(token, tool="notes/echo", arguments=b"{}")
    except InvalidToken as refused:
        return refused.code
    return ""


def credential_states(world: World) -> list[str]:
    """Return what the ledger says of every credential that was lent."""
    with closing(sqlite3.connect(world.database)) as ledger:
        return [state for (state,) in ledger.execute("SELECT state FROM credentials")]
