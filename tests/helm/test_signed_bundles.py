"""A gateway as rendered that takes signed bundles itself."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.bundle_web import BundleWeb
from tests.harness.certificates import make_certificates
from tests.harness.chart import CHART, Rendered, render
from tests.harness.recorder import Recorder
from tests.harness.rendered import Pod, RenderedGateway
from tests.harness.signing import BundleKey
from tests.harness.world import World

VALUES = CHART / "values/gateway-signed.yaml"
PLACE = "https://bundles.example/detent/bundle.tar.gz"
TOKEN = "a-token-of-the-bundle-server"


@dataclass
class Setting:
    """A world, its key, the server of its bundles, and the pod that is told of them."""

    world: World
    key: BundleKey
    web: BundleWeb
    rendered: Rendered
    authority: bytes

    def pod(self) -> Pod:
        """Lay the pod out, as it is at its first start."""
        given = {
            "detent-bundles": {"token": TOKEN.encode()},
            "detent-bundles-ca": {"ca.crt": self.authority},
        }
        return Pod(self.rendered, self.world.directory / "pod", given, {PLACE: self.web.url})


@pytest.fixture
async def setting(
    helm: str, world: World, recorder: Recorder, tmp_path: Path
) -> AsyncIterator[Setting]:
    """Policies that are signed, and a server that wants the token of the Secret."""
    key = BundleKey.make(keyid="release-2026")
    world.tools = {"records": world.tools["rec"]}
    world.write()
    more = {
        "policy": {"bundle": {"publicKey": key.public.decode()}},
        "settings": {"servers": {"records": {"http": {"base_url": recorder.url}}}},
    }
    rendered = render(helm, VALUES, stdin=json.dumps(more))
    tokens = rendered.secret("detent-tokens")
    world.agent_token = tokens["agent-nightly-loop"].decode()
    world.operator_token = tokens["operator-oncall"].decode()
    make_certificates(tmp_path, "localhost")
    authority = (tmp_path / "authority.pem").read_bytes()
    async with BundleWeb.serving() as web:
        web.token = TOKEN
        yield Setting(world, key, web, rendered, authority)


async def test_it_decides_by_what_its_key_signed(setting: Setting) -> None:
    """Pulled with the token of a Secret, checked with the key in the settings, kept on a volume."""
    setting.web.packed = setting.key.deliver(setting.world.bundle, 1)
    pod = setting.pod()
    async with RenderedGateway(setting.world, pod) as gateway:
        status, answer = await gateway.call("read", server="records")
        assert (status, answer["outcome"]) == (200, "done"), answer
        _, told = await gateway.operate("GET", "/v1/policy")
        assert answer["policy_revision"] == told["policy_revision"]
    setting.web.mood = "500"
    async with RenderedGateway(setting.world, pod) as again:
        _, later = await again.call("read", server="records")
        assert later["policy_revision"] == answer["policy_revision"]


async def test_it_does_not_start_with_what_another_key_signed(setting: Setting) -> None:
    """Nor is there anything older to go back to."""
    setting.web.packed = BundleKey.make(keyid="release-2026").deliver(setting.world.bundle, 1)
    gateway = RenderedGateway(setting.world, setting.pod())
    with pytest.raises(RuntimeError, match="signature"):
        await gateway.start()
    assert await gateway.stop() != 0
