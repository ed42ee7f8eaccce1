"""Policies delivered, tried in the shadow, promoted, rolled back, and reloaded under load."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.pdp.find_opa import find_opa
from tests.harness.bundle_web import BundleWeb
from tests.harness.gateway import Gateway
from tests.harness.sidecars import free_port
from tests.harness.signing import BundleKey
from tests.harness.world import World

RELOADS = 6
CALLERS = 4
PAUSE_S = 0.01  # a stream, not a flood: the reload wants the processor too


def changed(world: World, text: str = "# changed") -> Path:
    """Write other policies; return their directory."""
    main = world.bundle / "main.rego"
    main.write_text(f"{main.read_text()}\n{text}\n")
    return world.bundle


async def status_of(gateway: Gateway) -> Any:
    return (await gateway.operate("GET", "/v1/policy"))[1]


async def test_reloads_under_load_drop_no_call(gateway: Gateway, world: World) -> None:
    """Every call is answered, and decided by exactly one of the revisions there were."""
    _, first = await gateway.call("read")
    revisions = [first["policy_revision"]]
    seen: Counter[tuple[int, str]] = Counter()
    done = asyncio.Event()

    async def call() -> None:
        while not done.is_set():
            status, answer = await gateway.call("read")
            seen[status, answer.get("policy_revision", str(answer))] += 1
            await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(call())
        for number in range(RELOADS):
            changed(world, f"# {number}")
            status, answer = await gateway.operate("POST", "/v1/policy/reload")
            assert status == 200
            revisions.append(answer["policy_revision"])
        done.set()
    assert {status for status, _ in seen} == {200}
    assert {revision for _, revision in seen} <= set(revisions)
    assert len({revision for _, revision in seen}) > 1
    assert len(set(revisions)) == RELOADS + 1


async def test_a_candidate_is_watched_promoted_and_rolled_back(world: World) -> None:
    """Its flips are counted and obeyed by nobody; after that each is one request."""
    world.write()
    candidate = world.directory / "candidate"
    shutil.copytree(world.bundle, candidate)
    (candidate / "roles/data.yaml").write_text(json.dumps({"tester": {"tools": ["rec/write"]}}))
    world.settings = {
        "policy": {"bundle": "policies", "shadow": "candidate", "deadline": world.deadline}
    }
    async with Gateway(world) as gateway:
        status, before = await gateway.call("read")
        assert status == 200
        shadow = await flips(gateway)
        assert shadow["counts"]["flip"] == 1
        await promote(gateway, shadow["revision"])
        assert (await gateway.call("read"))[0] == 403
    async with Gateway(world) as gateway:  # a promotion outlives the process
        status, refused = await gateway.call("read")
        assert (status, refused["policy_revision"]) == (403, shadow["revision"])
        assert (await gateway.operate("POST", "/v1/policy/rollback"))[0] == 200
        status, after = await gateway.call("read")
        assert (status, after["policy_revision"]) == (200, before["policy_revision"])


async def flips(gateway: Gateway) -> Any:
    """Wait for the candidate's first comparison."""
    async with asyncio.timeout(30):
        while not any((shadow := (await status_of(gateway))["shadow"])["counts"].values()):
            await asyncio.sleep(0.05)
    return shadow


async def promote(gateway: Gateway, revision: str) -> None:
    """Promote what was looked at; something else is refused."""
    wrong = {"revision": "sha256:other"}
    assert (await gateway.operate("POST", "/v1/policy/promote", wrong))[0] == 422
    status, answer = await gateway.operate("POST", "/v1/policy/promote", {"revision": revision})
    assert (status, answer) == (200, {"policy_revision": revision})


@pytest.fixture
async def signed_world(world: World) -> AsyncIterator[tuple[World, BundleKey, BundleWeb]]:
    """A gateway's world whose policy comes signed from a server."""
    key = BundleKey.make()
    world.write()
    async with BundleWeb.serving() as web:
        verify = key.settings(world.directory)
        pull = {"every": "100ms"}
        policy = {"bundle": web.url, "verify": verify, "pull": pull, "deadline": "2s"}
        world.settings = {"policy": policy}
        web.packed = key.deliver(world.bundle, 1)
        yield world, key, web


async def test_other_opas_take_the_bundle_from_the_gateway(
    signed_world: tuple[World, BundleKey, BundleWeb],
) -> None:
    """As it was signed; OPA checks the signature, and a second gateway decides by that OPA."""
    world, key, web = signed_world
    async with Gateway(world) as gateway, pulling_opa(gateway, key) as opa:
        _, answer = await gateway.call("read")
        remote = {"url": f"http://127.0.0.1:{opa}"}
        second = World(world.directory / "second", world.recorder_url)
        second.directory.mkdir()
        policy = {**world.settings["policy"], "engine": "remote", "remote": remote}
        second.write()
        key.settings(second.directory)
        second.settings = {"policy": policy}
        async with Gateway(second) as other:
            _, there = await other.call("read")
            assert there["policy_revision"] == answer["policy_revision"]
    assert web.told.count(200) >= 2


@asynccontextmanager
async def pulling_opa(gateway: Gateway, key: BundleKey) -> AsyncIterator[int]:
    """Run an OPA that pulls from a gateway, once it serves the bundle; give its port."""
    port = free_port()
    service = {
        "url": gateway.operators,
        "credentials": {"bearer": {"token": gateway.world.operator_token}},
    }
    config = {
        "services": {"detent": service},
        "keys": {key.keyid: {"algorithm": "ES256", "key": key.public.decode()}},
        "bundles": {
            "detent": {
                "service": "detent",
                "resource": "v1/policy/bundle",
                "signing": {"keyid": key.keyid},
            }
        },
    }
    file = gateway.world.directory / "opa.json"
    file.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        find_opa().path, "run", "--server", f"--addr=127.0.0.1:{port}", f"--config-file={file}",
        "--skip-version-check", "--log-level=error", env={"HOME": str(file.parent)},
    )  # fmt: skip
    try:
        async with asyncio.timeout(30):
            while not await is_ready(gateway, port):
                await asyncio.sleep(0.1)
        yield port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def is_ready(gateway: Gateway, port: int) -> bool:
    try:
        async with gateway.http.get(f"http://127.0.0.1:{port}/health?bundles") as answer:
            return answer.status == 200
    except OSError:
        return False
