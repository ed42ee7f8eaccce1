"""A75: the kill endpoint of a real gateway, on its real ports: wrong port, wrong token, a flood.

What an application in process can tell about it stands in test_a75_kill_endpoint.py.
"""

import asyncio
import time
from collections.abc import Sequence

import pytest

from proxy.model.token import TokenKind, new_token
from tests.harness.standing import PORTS, Standing

pytestmark = [pytest.mark.alone, pytest.mark.asyncio(loop_scope="module")]

WRONG: dict[str, Sequence[bytes]] = {
    "no token": (),
    "a cookie": (b"Cookie: token=%b",),
    "another header": (b"X-Api-Key: %b",),
    "basic": (b"Authorization: Basic %b",),
    "a page": (b"Authorization: Bearer %b", b"Origin: https://evil.example"),
    "a page of our own": (b"Authorization: Bearer %b", b"Origin: null"),
    "another host": (b"Authorization: Bearer %b", b"Host: evil.example"),
}
FLOOD, WITHIN_S = 80, 1.0  # the port has room for a hundred connections


@pytest.mark.parametrize("fields", WRONG.values(), ids=WRONG)
async def test_a75_a_wrong_way_to_ask_stops_nothing(
    standing: Standing, fields: Sequence[bytes]
) -> None:
    """4xx, even though the operator's own token is in the request; the tool still works."""
    token = standing.gateway.world.operator_token.encode()
    lines = [line % token if b"%b" in line else line for line in fields]
    named = [line.partition(b":")[0].lower() for line in lines]
    without = [b"authorization", *([b"host"] if b"host" in named else [])]
    heard = await standing.attack("operators", *lines, b"Connection: close", without=without)
    assert heard.status in {400, 401, 403, 421}
    assert await standing.nothing_happened()
    assert (await standing.gateway.call("write"))[0] == 200


@pytest.mark.parametrize("kind", [TokenKind.AGENT, TokenKind.SESSION, TokenKind.SIDECAR])
@pytest.mark.parametrize("port", PORTS)
async def test_a75_no_other_token_and_no_other_port(
    standing: Standing, port: str, kind: TokenKind
) -> None:
    """On the agents' port there is no kill, for nobody; on its own, operators' tokens only."""
    gateway = standing.gateway
    ask = gateway.operate if port == "operators" else gateway.ask
    tokens = [new_token(kind), gateway.world.agent_token]
    tokens += [gateway.world.operator_token] if port == "agents" else []
    for token in tokens:
        status, _ = await ask("POST", "/killswitch", {}, token=token)
        assert status in {401, 403, 404}
    assert await standing.nothing_happened()


async def test_a75_a_kill_is_taken_in_a_flood_of_refused_ones(standing: Standing) -> None:
    """Within a second; the flood is answered 403 and never with a limit that operators share."""
    gateway, agent = standing.gateway, standing.gateway.world.agent_token
    flood = [
        asyncio.create_task(gateway.operate("POST", "/killswitch", {}, token=agent))
        for _ in range(FLOOD)
    ]
    await asyncio.sleep(0)
    began = time.monotonic()
    status, report = await gateway.operate("POST", "/killswitch", {"scope": "tool:rec/read"})
    took_s = time.monotonic() - began
    answers = await asyncio.gather(*flood)
    assert (status, report["committed"]) == (200, True)
    assert took_s < WITHIN_S
    assert {status for status, _ in answers} == {403}
    assert (await gateway.call("read"))[0] == 503
    assert standing.recorder.received == []
