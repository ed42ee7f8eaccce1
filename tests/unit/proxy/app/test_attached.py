import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from proxy.app import attached as module
from proxy.app.attached import AttachedPolicy, gateway_of
from proxy.app.secrets import Secrets
from proxy.config.settings import Settings
from proxy.errors import ConfigError, PolicyInvalid, PolicyUnavailable, StoreUnavailable
from proxy.pdp.archive import pack, unpack
from proxy.pdp.bundle_files import read_bundle

URL = "http://127.0.0.1:1"


class Gateway:
    """A gateway with a policy; `away`: how often it does not answer."""

    def __init__(self, bundle: Path) -> None:
        self.revision = "sha256:1"
        self.packed = pack(bundle)
        self.away = 0
        self.is_closed = False

    async def bundle(self, known: str, timeout_s: float) -> tuple[str, bytes]:
        del timeout_s
        if self.away:
            self.away -= 1
            raise StoreUnavailable("away")
        return (known, b"") if known == self.revision else (self.revision, self.packed)

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / ".manifest").write_text("{}")
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    return Gateway(tmp_path / "bundle")


@pytest.fixture
async def policy(gateway: Gateway) -> AsyncIterator[AttachedPolicy]:
    policy = AttachedPolicy(cast("Any", gateway))
    yield policy
    await policy.close()
    assert gateway.is_closed


async def test_the_first_policy_is_waited_for(policy: AttachedPolicy, gateway: Gateway) -> None:
    """A gateway may start later than its sidecars."""
    gateway.away = 3
    await policy.first()
    assert policy.revision == "sha256:1"
    assert read_bundle(policy.directory) == {".manifest": b"{}"}


async def test_a_gateway_that_never_answers_ends_the_start(
    policy: AttachedPolicy, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, with what to do."""
    monkeypatch.setattr(module, "FIRST_LOOK_S", 0.05)
    gateway.away = 1_000
    with pytest.raises(StoreUnavailable, match="attach"):
        await policy.first()


async def test_every_new_policy_is_loaded_once(policy: AttachedPolicy, gateway: Gateway) -> None:
    """The gateway may be away in between; one that cannot be loaded changes nothing."""
    loaded: list[str] = []

    async def reload() -> str:
        loaded.append(policy.revision)
        if policy.revision == "sha256:bad":
            raise PolicyInvalid("its suites fail")
        return policy.revision

    await policy.first()
    following = asyncio.create_task(policy.follow(reload))
    for revision in ("sha256:2", "sha256:bad", "sha256:3"):
        gateway.revision, gateway.away = revision, 2
        async with asyncio.timeout(5):
            while revision not in loaded:
                await asyncio.sleep(0.005)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    assert loaded == ["sha256:2", "sha256:bad", "sha256:3"]


async def test_a_policy_that_could_not_be_tried_is_tried_again(
    policy: AttachedPolicy, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that is down, a full disk: the sidecar does not stay behind its gateway."""
    await policy.first()
    troubles = [OSError(28, "No space left on device")]
    loaded: list[str] = []

    def unpack_once_there_is_room(packed: bytes, directory: Path) -> None:
        if troubles:
            raise troubles.pop()
        unpack(packed, directory)

    async def reload() -> str:
        loaded.append(policy.revision)
        if len(loaded) == 1:
            raise PolicyUnavailable("OPA was not ready")
        return policy.revision

    monkeypatch.setattr(module, "unpack", unpack_once_there_is_room)
    gateway.revision = "sha256:2"
    following = asyncio.create_task(policy.follow(reload))
    async with asyncio.timeout(5):
        while len(loaded) < 2:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    following.cancel()
    assert loaded == ["sha256:2", "sha256:2"]


async def test_the_connection_has_our_token(tmp_path: Path) -> None:
    """Read from where the settings name it."""
    told: list[str] = []
    attach = {"url": URL, "token": {"env": "SIDECAR"}}
    settings = Settings.model_validate({"attach": attach, "directory": tmp_path})
    secrets = Secrets(settings, {"SIDECAR": "dtx_secret"}, lambda _, value: told.append(value))
    await gateway_of(settings, secrets).close()
    assert told == ["dtx_secret"]


@pytest.mark.parametrize(
    "attach",
    [
        {},
        {"url": "https://127.0.0.1:1", "token": {"env": "SIDECAR"}, "ca_file": "missing.pem"},
        {"url": "https://127.0.0.1:1/?x", "token": {"env": "SIDECAR"}},
    ],
    ids=["no gateway", "no roots", "no URL"],
)
async def test_what_cannot_be_attached_to_is_told(tmp_path: Path, attach: dict[str, Any]) -> None:
    """With its place in the settings."""
    settings = Settings.model_validate({"attach": attach, "directory": tmp_path})
    with pytest.raises(ConfigError, match="attach"):
        gateway_of(settings, Secrets(settings, {"SIDECAR": "dtx_secret"}))


async def test_a_token_that_cannot_be_read_any_more_is_no_token(tmp_path: Path) -> None:
    """Its file is read at every request; while it is away the gateway cannot be asked."""
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("dtx_secret")
    attach = {"url": URL, "token": {"file": str(token)}}
    settings = Settings.model_validate({"attach": attach, "directory": tmp_path})
    gateway = gateway_of(settings, Secrets(settings, {}))
    token.unlink()
    with pytest.raises(StoreUnavailable, match=r"attach\.token"):
        await gateway.post("kills", b"[0]", 1.0)
    await gateway.close()
