"""OPA as the rendered container runs it: signed bundles only, and for Detent alone."""

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from proxy.app.policies import PolicySource
from proxy.pdp.answer import QUERY
from tests.harness.bundles import Signer, build, bundle_server
from tests.harness.certificates import make_certificates
from tests.harness.chart import CHART, Rendered, render
from tests.harness.recorder import Recorder
from tests.harness.rendered import Pod, RenderedGateway, files_of
from tests.harness.tiny_bundle import write
from tests.harness.world import ROOT, World

BUNDLE = "detent/bundle.tar.gz"
TOKEN = "a-token-of-the-bundle-server"
START_S = 20


@dataclass
class Setting:
    """A world, the rendered pod, and where its parts are here."""

    world: World
    rendered: Rendered
    signer: Signer
    served: Path
    instead: dict[str, str]
    certificates: Path

    def pod(self, name: str) -> Pod:
        """Lay out one container of the pod."""
        pair = (self.certificates / "server.pem").read_bytes()
        given = {
            "detent-policies": files_of(self.world.bundle),
            "detent-tls": {"tls.crt": pair, "tls.key": pair},
            "detent-alerts": {"webhook": b"whsec_" + base64.b64encode(bytes(range(32)))},
            "detent-bundles": {"token": TOKEN.encode()},
        }
        return Pod(self.rendered, self.world.directory / name, given, self.instead, name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def setting(helm: str, world: World, recorder: Recorder, tmp_path: Path) -> Iterator[Setting]:
    """Everything but the processes."""
    signer, served = Signer(), tmp_path / "bundles"
    (served / "detent").mkdir(parents=True)
    make_certificates(tmp_path, "localhost", "127.0.0.1")
    write(world.bundle)
    server = {"http": {"base_url": recorder.url}, "allow_private": True}
    more = {
        "policy": {"bundle": {"publicKey": signer.public}},
        "settings": {"servers": {"rec": server, "records": {"http": {"base_url": recorder.url}}}},
    }
    rendered = render(helm, CHART / "values/gateway-opa.yaml", stdin=json.dumps(more))
    tokens = rendered.secret("detent-tokens")
    world.agent_token = tokens["agent-nightly-loop"].decode()
    with bundle_server(served, TOKEN) as url:
        instead = {
            "https://bundles.example": url,
            "127.0.0.1:8181": f"127.0.0.1:{free_port()}",
            "0.0.0.0:8282": f"127.0.0.1:{free_port()}",
        }
        yield Setting(world, rendered, signer, served, instead, tmp_path)


@contextmanager
def staged(setting: Setting, opa: str) -> Iterator[Path]:
    """Check the policies the way the gateway does; give the copy with its revision."""
    source = PolicySource(setting.world.bundle, Path(opa))
    try:
        yield source.stage()[0].directory
    finally:
        source.cleanup()


@asynccontextmanager
async def running(setting: Setting, opa: str) -> AsyncIterator[httpx.AsyncClient]:
    """Run the container's OPA until the block ends; give a client of its port."""
    pod = setting.pod("opa")
    assert pod.container["command"] == ["opa"]
    process = await asyncio.create_subprocess_exec(
        opa, *pod.arguments(), env=pod.environ(),
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"http://{setting.instead['127.0.0.1:8181']}"
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            yield client
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def is_well(setting: Setting, within_s: float) -> bool:
    """Ask what the probe asks until it is well, or not within that time."""
    url = f"http://{setting.instead['0.0.0.0:8282']}/health?bundles=true"
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(int(within_s / 0.1)):
            try:
                if (await client.get(url)).status_code == 200:
                    return True
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    return False


async def test_a_gateway_decides_by_the_signed_bundle(setting: Setting, opa: str) -> None:
    """Both containers as rendered, TLS from a mounted Secret: a call goes through."""
    with staged(setting, opa) as bundle:
        setting.signer.build(opa, bundle, setting.served / BUNDLE)
    async with running(setting, opa):
        assert await is_well(setting, START_S)
        gateway = RenderedGateway(setting.world, setting.pod("detent"))
        gateway.trust = ssl.create_default_context(cafile=setting.certificates / "authority.pem")
        gateway.trust.check_hostname = False
        async with gateway:
            assert gateway.agents.startswith("https://")
            status, _ = await gateway.ask("POST", "/v1/sessions", {})
            assert status == 201
            status, answer = await gateway.call("read", server="rec")
            assert answer["policy_revision"].startswith("sha256:")


@pytest.mark.parametrize("signed_by", ["nobody", "somebody else"])
async def test_no_other_bundle_is_loaded(setting: Setting, opa: str, signed_by: str) -> None:
    """Not well, and every decision undefined: no gateway starts on it."""
    with staged(setting, opa) as bundle:
        if signed_by == "nobody":
            build(opa, bundle, setting.served / BUNDLE)
        else:
            Signer().build(opa, bundle, setting.served / BUNDLE)
    async with running(setting, opa) as client:
        assert not await is_well(setting, 3)
        token = setting.rendered.secret("detent-opa")["token"].decode()
        answer = await client.post(
            DECIDE,
            json={"input": {}},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert "result" not in answer.json()


CLOSED = [
    ("GET", "/v1/policies"),
    ("PUT", "/v1/policies/mine"),
    ("PUT", "/v1/data/roles"),
    ("GET", "/v1/data"),
    ("GET", "/v1/config"),
    ("GET", "/metrics"),
    ("GET", "/health?plugins=true"),
    ("POST", "/v1/query"),
    ("POST", f"/v1/data/roles?{QUERY}"),
    ("POST", f"/v1/data/system/authz?{QUERY}"),
]
DECIDE = f"/v1/data/detent/main/decision?{QUERY}"


async def test_nothing_but_decisions_is_answered(setting: Setting, opa: str) -> None:
    """An agent in the same pod reaches the port; not even the gateway may change the policy."""
    with staged(setting, opa) as bundle:
        setting.signer.build(opa, bundle, setting.served / BUNDLE)
    token = setting.rendered.secret("detent-opa")["token"].decode()
    known = {"nobody": "", "an agent": setting.world.agent_token, "the gateway": token}
    async with running(setting, opa) as client:
        assert await is_well(setting, START_S)
        for who, shown in known.items():
            headers = {"Authorization": f"Bearer {shown}"} if shown else {}
            for method, path in CLOSED:
                answer = await client.request(method, path, json={"input": {}}, headers=headers)
                assert answer.status_code == 401, (who, method, path)
            answer = await client.post(DECIDE, json={"input": {}}, headers=headers)
            assert answer.status_code == (200 if who == "the gateway" else 401), who


def test_the_rule_of_the_container_is_the_managed_one() -> None:
    """One file decides who may ask OPA what, however it is run."""
    managed = ROOT / "proxy/pdp/authz.rego"
    assert (CHART / "files/authz.rego").read_text() == managed.read_text()
