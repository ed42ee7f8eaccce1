"""The rendered gateway and sidecar, started here as their manifests say."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from credentials.verify import Verifier
from tests.harness.chart import CHART, Rendered, render
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.rendered import POD_IP, Pod, RenderedGateway, files_of
from tests.harness.world import World

AUDIENCE = "https://records.example"
JWT = {"broker": "jwt", "audience": AUDIENCE, "ceiling": ["records:write"]}


def rendered_for(helm: str, values: str, recorder: Recorder) -> Rendered:
    """Render values with the recorder as the one tool."""
    server = {"servers": {"records": {"http": {"base_url": recorder.url}}}}
    more = {"settings": server, "metrics": {"serviceMonitor": True}}
    return render(helm, CHART / f"values/{values}.yaml", stdin=json.dumps(more))


def pod_for(rendered: Rendered, world: World) -> Pod:
    """Lay the pod out, with the tokens of its Secret in the hands of the world's callers."""
    world.tools = {"records": world.tools["rec"]}
    world.tools["records"]["write"]["credential"] = JWT
    world.write()
    tokens = rendered.secret("detent-tokens")
    world.agent_token = tokens["agent-nightly-loop"].decode()
    world.operator_token = tokens["operator-oncall"].decode()
    return Pod(rendered, world.directory / "pod", {"detent-policies": files_of(world.bundle)}, {})


@pytest.mark.parametrize("values", ["gateway-sqlite", "sidecar"])
async def test_what_is_rendered_starts_and_takes_calls(
    helm: str, world: World, recorder: Recorder, values: str
) -> None:
    """Policy from a mounted ConfigMap, signing key from a mounted Secret, tokens of the chart.

    The root of the container is read-only: nothing is written but the ledger's volume and /tmp.
    """
    pod = pod_for(rendered_for(helm, values, recorder), world)
    before = {place: written(place) for place in read_only(pod)}
    async with RenderedGateway(world, pod) as gateway:
        status, answer = await gateway.call("write", {"text": "x"}, server="records")
        assert (status, answer["outcome"]) == (200, "done"), answer
        _, jwks = await gateway.ask("GET", "/.well-known/jwks.json")
        verifier = Verifier(jwks, "https://detent.example", AUDIENCE, lambda _: 0)
        (received,) = recorder.received
        token = received.headers["Authorization"].removeprefix("Bearer ")
        assert verifier.verify(token, tool="records/write").subject == "acme/nightly-loop"
    assert {place: written(place) for place in read_only(pod)} == before
    assert gateway.left == []


async def test_the_rendered_gateway_answers_probes_and_keeps_a_kill(
    helm: str, world: World, recorder: Recorder
) -> None:
    """The health port, the Service's names and the pod's own; the volume outlives the pod."""
    rendered = rendered_for(helm, "gateway-sqlite", recorder)
    pod = pod_for(rendered, world)
    async with RenderedGateway(world, pod) as gateway:
        (health,) = re.findall(r"health on (\S+)", gateway.text)
        for path in ("/healthz", "/readyz"):
            assert await status_of(gateway, health + path) == 200
        for host in ("detent.detent.svc", "detent-operators", POD_IP):
            assert await status_of(gateway, f"{gateway.agents}/readyz", host) == 200
        assert await status_of(gateway, f"{gateway.agents}/readyz", "other.example") == 421
        scraper = rendered.secret("detent-tokens")["operator-metrics"].decode()
        scraped = await status_of(gateway, f"{gateway.operators}/metrics", POD_IP, scraper)
        assert scraped == 200
        assert (await gateway.operate("POST", "/killswitch", token=scraper))[0] == 403
        assert (await gateway.operate("POST", "/killswitch"))[0] == 200
    async with RenderedGateway(world, pod) as gateway:
        assert (await gateway.call("read", server="records"))[0] == 503


def read_only(pod: Pod) -> list[Path]:
    mounts = pod.container["volumeMounts"]
    return [pod.place(one["mountPath"]) for one in mounts if one.get("readOnly")]


def written(place: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in sorted(place.rglob("*"))}


async def status_of(gateway: Gateway, url: str, host: str = "", token: str = "") -> int:
    headers = {"Host": host} if host else {}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    async with asyncio.timeout(10), gateway.http.get(url, headers=headers) as answer:
        return answer.status
