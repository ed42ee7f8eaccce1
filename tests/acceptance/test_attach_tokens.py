"""A sidecar with a projected service account token, renewed while it runs, and what is not one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from proxy.model.token import TokenKind, new_token
from tests.harness.gateway import Gateway
from tests.harness.issuer import Issuer
from tests.harness.kubelet import mount
from tests.harness.recorder import Recorder
from tests.harness.sidecars import Attachable, Sidecar
from tests.harness.world import World

SUBJECT = "system:serviceaccount:agents:detent"
AUDIENCE = "detent-attach"
UNTYPED = {"typ": None}  # as Kubernetes signs them


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    """The cluster's."""
    issuer = await Issuer().start()
    yield issuer
    await issuer.stop()


@pytest.fixture
def attachable(world: World, issuer: Issuer) -> Attachable:
    """A gateway that takes one service account of the cluster as its sidecar, and no static one."""
    attachable = Attachable(world)
    subject = {"sub": SUBJECT, "name": "loop-pods", "agents": ["acme/tester"]}
    trusted = {"issuer": issuer.name, "jwks_uri": issuer.jwks_uri, "allow_private": True}
    world.settings["attach"] = {"issuers": [trusted | {"subjects": [subject]}]}
    return attachable


@pytest.fixture
async def gateway(attachable: Attachable) -> AsyncIterator[Gateway]:
    async with Gateway(attachable.world) as gateway:
        yield gateway


def projected(issuer: Issuer, **claims: Any) -> str:
    """Return a token as the kubelet would ask for it."""
    given = {"sub": SUBJECT, "aud": [AUDIENCE]} | claims
    return issuer.token("RS256", UNTYPED, **given)


def sidecar_of(attachable: Attachable, directory: Path, token: str) -> tuple[Sidecar, Path]:
    """Return a sidecar, not started, and the volume its token is in."""
    volume = mount(directory / "attach", {"token": token.encode()}, mode=0o640)
    settings = {"token": {"file": str(volume / "token")}}
    return attachable.sidecar(directory / "pod", attach=settings), volume


async def until_status(sidecar: Sidecar, wanted: int) -> None:
    """Call until that is the answer."""
    async with asyncio.timeout(15):
        while (await sidecar.call("read"))[0] != wanted:
            await asyncio.sleep(0.05)


async def test_a_token_is_read_again_when_the_kubelet_has_renewed_it(
    attachable: Attachable, gateway: Gateway, issuer: Issuer, recorder: Recorder, tmp_path: Path
) -> None:
    """The newest one counts, good or not: a running sidecar goes by it at its next request."""
    sidecar, volume = sidecar_of(attachable, tmp_path, projected(issuer))
    async with sidecar:
        assert (await sidecar.call("write", {"text": "first"}))[0] == 200
        renew(volume, projected(issuer, sub="system:serviceaccount:agents:other"), 1)
        await until_status(sidecar, 503)
        received = len(recorder.received)
        assert (await sidecar.call("write", {"text": "second"}))[0] == 503
        assert len(recorder.received) == received
        renew(volume, projected(issuer), 2)
        await until_status(sidecar, 200)
    assert await gateway.wrote("sidecar refused: nobody-here")


def renew(volume: Path, token: str, number: int) -> None:
    """Exchange the token as the kubelet does."""
    mount(volume, {"token": token.encode()}, 0o640, f"..2026_11_22_10_48_0{number}.987654321")


REFUSED: dict[str, dict[str, Any]] = {
    "an agent's audience": {"aud": "detent"},
    "the cluster's own audience": {"aud": "https://kubernetes.default.svc"},
    "two audiences": {"aud": [AUDIENCE, "detent"]},
    "no audience": {"aud": None},
    "another service account": {"sub": "system:serviceaccount:agents:other"},
    "another issuer": {"iss": "https://other.example"},
    "over": {"exp": 1},
    "for ever": {"exp": 4_000_000_000},
    "not yet": {"nbf": 4_000_000_000},
}


async def asked_with(attachable: Attachable, gateway: Gateway, token: str) -> int:
    """Ask for the policy; return the status."""
    headers = {"Authorization": f"Bearer {token}"}
    async with gateway.http.get(f"{attachable.url}/attach/v1/bundle", headers=headers) as answer:
        return answer.status


async def test_no_other_token_attaches(
    attachable: Attachable, gateway: Gateway, issuer: Issuer
) -> None:
    """An agent's least of all: the audience is exactly the port's own. And it opens no other."""
    good = projected(issuer)
    assert await asked_with(attachable, gateway, good) == 200
    for why, claims in REFUSED.items():
        assert await asked_with(attachable, gateway, projected(issuer, **claims)) == 401, why
    forged = good.rpartition(".")[0] + "." + "A" * 342
    for token in (forged, gateway.world.agent_token, new_token(TokenKind.SIDECAR)):
        assert await asked_with(attachable, gateway, token) == 401
    assert (await gateway.call("read", token=good))[0] == 401
    assert (await gateway.operate("POST", "/killswitch", token=good))[0] == 401


async def test_without_the_issuers_keys_nobody_new_attaches(
    attachable: Attachable, gateway: Gateway, issuer: Issuer
) -> None:
    """503: it cannot be said whose the token is."""
    await issuer.stop()
    assert await asked_with(attachable, gateway, projected(issuer)) == 503
