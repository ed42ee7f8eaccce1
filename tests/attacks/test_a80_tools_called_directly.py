"""A80: an agent that calls a tool's host directly gets nothing: two walls, each tried alone.

The first is the cluster's: the rendered NetworkPolicies. The second holds where the first is
missing: the tool takes a token for this one call, which only the gateway can mint.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import rfc8785
from aiohttp import ClientSession, web

from credentials.verify import InvalidToken, Verifier
from tests.harness.chart import CHART, render
from tests.harness.cluster_network import AGENT, TOOL, labelled, reaches
from tests.harness.rendered import Pod, RenderedGateway, files_of
from tests.harness.world import World
from tests.helm.tools import program

ISSUER, AUDIENCE = "https://detent.example", "https://records.example"
JWT = {"broker": "jwt", "audience": AUDIENCE, "ceiling": ["records:write"]}


@dataclass
class Guarded:
    """A tool that verifies every call; `shown` are the tokens that reached it."""

    url: str = ""
    verifier: Verifier | None = None
    shown: list[str] = field(default_factory=list)

    async def write(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.shown.append(token)
        assert self.verifier is not None
        try:
            arguments = rfc8785.dumps(await request.json())
            self.verifier.verify(token, tool="records/write", arguments=arguments)
        except InvalidToken as refused:
            return web.json_response({"code": refused.code}, status=401)
        return web.json_response({"written": True})


@pytest.fixture
async def tool() -> AsyncIterator[Guarded]:
    """The tool on a port of its own, open to every process here."""
    guarded = Guarded()
    app = web.Application()
    app.router.add_post("/write", guarded.write)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    guarded.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield guarded
    await runner.cleanup()


@pytest.fixture
def helm() -> str:
    found = program("helm")
    if found is None:
        pytest.skip("helm is not installed: `make helm` gets it, with Go")
    return found


@pytest.mark.parametrize("values", ["gateway", "gateway-sqlite", "sidecar", "sidecar-attached"])
def test_a80_the_network_lets_detent_alone_reach_the_tool(helm: str, values: str) -> None:
    """The agent's pod is refused by the tool's own policy, whatever may leave the agent's pod."""
    rendered = render(helm, CHART / f"values/{values}.yaml")
    assert reaches(rendered, labelled(rendered), TOOL, 8080)
    assert not reaches(rendered, AGENT, TOOL, 8080)


async def test_a80_a_direct_call_has_no_token_that_fits(
    helm: str, world: World, tool: Guarded
) -> None:
    """Through the rendered gateway the call is made; beside it nothing the agent has is taken."""
    server = {"settings": {"servers": {"records": {"http": {"base_url": tool.url}}}}}
    rendered = render(helm, CHART / "values/gateway-sqlite.yaml", stdin=json.dumps(server))
    world.tools = {"records": {"write": world.tools["rec"]["write"] | {"credential": JWT}}}
    world.write()
    world.agent_token = rendered.secret("detent-tokens")["agent-nightly-loop"].decode()
    policies = {"detent-policies": files_of(world.bundle)}
    pod = Pod(rendered, world.directory / "pod", policies, {})
    async with RenderedGateway(world, pod) as gateway:
        _, jwks = await gateway.ask("GET", "/.well-known/jwks.json")
        tool.verifier = Verifier(jwks, ISSUER, AUDIENCE, lambda _: 0)
        status, answer = await gateway.call("write", {"text": "x"}, server="records")
        assert (status, answer["outcome"]) == (200, "done")
        for token, code in (
            ("", "malformed"),
            (world.agent_token, "malformed"),
            (tool.shown[0], "replayed"),
        ):
            assert await directly(tool, token, {"text": "x"}) == (401, code)
        assert await directly(tool, tool.shown[0], {"text": "y"}) == (401, "arguments-mismatch")
        tool.verifier = Verifier(jwks, ISSUER, "https://other.example", lambda _: 0)
        assert await directly(tool, tool.shown[0], {"text": "x"}) == (401, "wrong-audience")


async def directly(tool: Guarded, token: str, arguments: dict[str, str]) -> tuple[int, str]:
    """Call the tool without the gateway."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        ClientSession() as http,
        http.post(f"{tool.url}/write", json=arguments, headers=headers) as answer,
    ):
        return answer.status, (await answer.json())["code"]
