"""What a probe sees of a gateway, and what nobody can do on its port."""

import asyncio
import os
import re
import signal

from tests.harness.gateway import Gateway
from tests.harness.processes import opa_of
from tests.harness.recorder import Recorder
from tests.harness.world import World

HEALTH = re.compile(r"health on (http://\S+)")
LISTEN = {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0", "health": "127.0.0.1:0"}


def url_of(gateway: Gateway) -> str:
    """Return where the log says that probes are answered."""
    found = HEALTH.search(gateway.text)
    assert found is not None
    return found[1]


async def probed(gateway: Gateway, path: str, method: str = "GET", **headers: str) -> int:
    """Send what a prober sends; return the status."""
    async with gateway.http.request(method, url_of(gateway) + path, headers=headers) as answer:
        assert await answer.read() == b""
        return answer.status


async def until_not_ready(gateway: Gateway) -> None:
    async with asyncio.timeout(10):
        while await probed(gateway, "/readyz") == 200:
            await asyncio.sleep(0.05)


async def test_a_probe_is_answered_under_any_name(world: World) -> None:
    """The node asks the address of the pod, which no setting knows; no token is needed."""
    world.settings = {"listen": LISTEN}
    async with Gateway(world) as gateway:
        for path in ("/healthz", "/readyz"):
            assert await probed(gateway, path, Host="10.1.2.3:8790") == 200
            assert await probed(gateway, path, "HEAD", Host="whatever") == 200


async def test_nothing_else_is_on_that_port(world: World, recorder: Recorder) -> None:
    """Neither calls nor kills nor metrics, with any token."""
    world.settings = {"listen": LISTEN}
    async with Gateway(world) as gateway:
        for token in (world.agent_token, world.operator_token):
            bearer = {"Authorization": f"Bearer {token}"}
            for method, path in (("POST", "/v1/calls"), ("POST", "/killswitch"), ("GET", "/mcp")):
                assert await probed(gateway, path, method, **bearer) == 404
            assert await probed(gateway, "/metrics", **bearer) == 404
        assert (await gateway.call("read"))[0] == 200


async def test_a_policy_that_does_not_answer_is_not_ready_but_alive(world: World) -> None:
    """Calls go to another replica; nobody kills this one for it, and its kill switch works."""
    world.settings = {"listen": LISTEN}
    async with Gateway(world) as gateway:
        engine = opa_of(gateway.pid)
        os.kill(engine, signal.SIGSTOP)
        await until_not_ready(gateway)
        assert await probed(gateway, "/healthz") == 200
        assert (await gateway.operate("POST", "/killswitch"))[0] == 200


async def test_a_gateway_that_drains_is_not_ready(world: World, recorder: Recorder) -> None:
    """SIGTERM: unready at once, while the call in flight is given its time."""
    world.settings = {"listen": LISTEN, "drain": "20s"}
    async with Gateway(world) as gateway:
        calling = asyncio.create_task(gateway.call("hold"))
        while not recorder.received:
            await asyncio.sleep(0.01)
        os.kill(gateway.pid, signal.SIGTERM)
        await until_not_ready(gateway)
        assert await probed(gateway, "/healthz") == 200
        recorder.release.set()
        assert (await calling)[1]["outcome"] == "done"
