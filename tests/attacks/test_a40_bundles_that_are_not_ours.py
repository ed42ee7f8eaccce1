"""A40: a policy bundle that is unsigned, wrongly signed, older, cut off, too large, half right.

Whoever serves bundles, or stands in between, can give the gateway anything. The last good policy
stays in force, people are told, and every decision carries the revision that made it.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from proxy.pdp.delivery.building import build
from proxy.pdp.delivery.packing import MAX_PACKED_BYTES, pack_files, unpack_files
from proxy.pdp.delivery.signature import SIGNATURES, signed
from proxy.pdp.find_opa import find_opa
from tests.harness.assembled import stored_alerts
from tests.harness.bundle_web import BundleWeb
from tests.harness.gateway import Gateway
from tests.harness.signing import BundleKey
from tests.harness.world import World

GOOD, NEXT = 1_000, 1_001
SOON_S = 60.0

Change = Callable[[World, BundleKey], bytes]


@pytest.fixture
async def web() -> AsyncIterator[BundleWeb]:
    """Where bundles come from."""
    async with BundleWeb.serving() as web:
        yield web


@pytest.fixture
def key(world: World, web: BundleWeb) -> BundleKey:
    """Whose signature counts; its first bundle is served."""
    key = BundleKey.make()
    world.write()
    verify = key.settings(world.directory)
    world.settings = {
        "policy": {
            "bundle": web.url,
            "verify": verify,
            "pull": {"every": "100ms"},
            "deadline": "2s",
        }
    }
    web.packed = key.deliver(world.bundle, GOOD)
    return key


def changed(world: World) -> Path:
    """Return other policies than those in force: one line more, another revision."""
    main = world.bundle / "main.rego"
    main.write_text(main.read_text() + "\n# changed\n")
    return world.bundle


def tampered(world: World, key: BundleKey) -> bytes:
    files = unpack_files(key.deliver(changed(world), NEXT))
    return pack_files(files | {"main.rego": files["main.rego"] + b"# more\n"})


def missing(world: World, key: BundleKey) -> bytes:
    files = unpack_files(key.deliver(changed(world), NEXT))
    return pack_files({path: files[path] for path in files if path != "budgets/data.json"})


def nameless(world: World, key: BundleKey) -> bytes:
    """Sign as OPA's own command does: no key id in the header."""
    files = unpack_files(build(changed(world), find_opa().path, NEXT))
    token = signed(files, key.private, "x")
    return pack_files(files | {SIGNATURES: token})


def half_right(world: World, key: BundleKey) -> bytes:
    """Signed and broken: one of its own golden decisions fails."""
    suite = "a:\n  about: x\n  given: {role: tester, mode: read_write, tool: rec/read}\n"
    suite += "  cases:\n    - name: never\n      expect: {verdict: deny}\n"
    (world.bundle / "suites").mkdir()
    (world.bundle / "suites/a.yaml").write_text(suite)
    return key.deliver(changed(world), NEXT)


BAD: dict[str, Change] = {
    "unsigned": lambda world, _: build(changed(world), find_opa().path, NEXT),
    "by another key": lambda world, _: BundleKey.make().deliver(changed(world), NEXT),
    "without our key's name": nameless,
    "tampered": tampered,
    "half loaded": missing,
    "older": lambda world, key: key.deliver(changed(world), GOOD - 1),
    "same number": lambda world, key: key.deliver(changed(world), GOOD),
    "oversize": lambda *_: b"\0" * (MAX_PACKED_BYTES + 1),
    "no archive": lambda *_: b"<html>",
    "half right": half_right,
}


async def test_a40_they_are_refused_and_the_last_good_policy_stays(
    world: World, web: BundleWeb, key: BundleKey
) -> None:
    """An alert for each, once; the same revision on every decision; the next good one is taken."""
    async with Gateway(world) as gateway:
        _, before = await gateway.call("write", {"text": "a"})
        for count, (name, make) in enumerate(BAD.items(), 1):
            web.packed = make(world, key)
            assert await refusals(gateway, count) == count, name
            status, after = await gateway.call("write", {"text": name})
            assert (status, after["policy_revision"]) == (200, before["policy_revision"]), name
        web.packed = key.deliver(good_again(world), NEXT + 1)
        assert await revision_other_than(gateway, before["policy_revision"])
    told = Counter(stored_alerts(world))
    assert told["policy-bundle-refused"] == len(BAD) - 1
    assert told["policy-reload-failed"] == 1  # half right: verified, and its suite fails


@pytest.mark.parametrize("mood", ["half", "endless", "500"])
async def test_a40_a_download_that_breaks_is_no_policy(
    world: World, web: BundleWeb, key: BundleKey, mood: str
) -> None:
    """Broken off, without end, an error: told once, and made up for when it comes whole."""
    async with Gateway(world) as gateway:
        _, before = await gateway.call("read")
        web.packed, web.mood = key.deliver(changed(world), NEXT), mood
        assert await refusals(gateway) == 1
        assert (await gateway.call("read"))[1]["policy_revision"] == before["policy_revision"]
        web.mood = ""
        assert await revision_other_than(gateway, before["policy_revision"])
    assert stored_alerts(world) == ["policy-bundle-unavailable"]


async def test_a40_a_restart_takes_the_last_good_one_and_nothing_older(
    world: World, web: BundleWeb, key: BundleKey
) -> None:
    """Also while only an older bundle, or none, can be had."""
    async with Gateway(world) as gateway:
        _, before = await gateway.call("read")
    web.packed = key.deliver(changed(world), GOOD - 1)
    async with Gateway(world) as gateway:
        assert await refusals(gateway) == 1
        assert (await gateway.call("read"))[1]["policy_revision"] == before["policy_revision"]
        asked = {"older": True, "reason": "wanted"}
        status, answer = await gateway.operate("POST", "/v1/policy/reload", asked)
        assert status == 200
        assert answer["policy_revision"] != before["policy_revision"]
    assert stored_alerts(world) == ["policy-bundle-refused"]


async def refusals(gateway: Gateway, count: int = 1) -> int:
    """Wait for so many refusals; return how many there are after a few more looks."""
    async with asyncio.timeout(SOON_S):
        while await refused(gateway) < count:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    return await refused(gateway)


async def refused(gateway: Gateway) -> int:
    """Return how many loads have failed, as the metrics tell."""
    headers = {"Authorization": f"Bearer {gateway.world.operator_token}"}
    async with gateway.http.get(f"{gateway.operators}/metrics", headers=headers) as answer:
        lines = (await answer.text()).splitlines()
    failed = next(
        line for line in lines if line.startswith('detent_policy_reloads_total{result="f')
    )
    return int(float(failed.split()[-1]))


async def revision_other_than(gateway: Gateway, revision: str) -> bool:
    """Wait until another policy decides."""
    async with asyncio.timeout(SOON_S):
        while (await gateway.call("read"))[1]["policy_revision"] == revision:
            await asyncio.sleep(0.05)
    return True


def good_again(world: World) -> Path:
    for suite in (world.bundle / "suites").glob("*.yaml"):
        suite.unlink()
    return changed(world)
