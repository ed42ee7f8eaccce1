import asyncio
import contextlib
import shutil
from typing import Any

import pytest

from proxy.errors import PolicyError, PolicyInvalid, PolicyUnavailable
from proxy.pdp.delivery.building import build
from proxy.pdp.delivery.kept import LAST_GOOD
from proxy.pdp.find_opa import find_opa
from tests.harness.assembled import stored_alerts
from tests.harness.delivering import Delivering
from tests.harness.world import World


@pytest.fixture
def signed(world: World) -> Delivering:
    """A signed policy, number 1."""
    signed = Delivering(world)
    signed.put(signed.signed("first", 1))
    return signed


async def test_what_is_newly_delivered_is_loaded(signed: Delivering) -> None:
    """Once; its number is the least from then on, and its archive is given as it was signed."""
    async with signed.running() as (gateway, _):
        packed = signed.signed("second", 2)
        signed.put(packed)
        assert await gateway.live.follow_once() == ""
        status = await gateway.live.status()
        assert (status["number"], status["policy_revision"]) == (2, status["offered"])
        assert gateway.live.signed() == packed


@pytest.mark.parametrize("broken", ["no bundle", "older", "its suites fail", "away"])
async def test_a_trouble_is_told_once(signed: Delivering, world: World, broken: str) -> None:
    """And again after there was none, or another."""
    signed.put(signed.signed("first", 2))
    async with signed.running() as (gateway, policy):
        bad = {"older": signed.signed("x", 1), "its suites fail": signed.signed("x", 3, fails=True)}
        signed.file.unlink() if broken == "away" else signed.put(bad.get(broken, b"x"))
        told = await gateway.live.follow_once()
        policy._origin._known = ()  # type: ignore[attr-defined]  # as if it had come again
        assert await gateway.live.follow_once(told) == told
        assert len(stored_alerts(world)) == 1
        policy._origin._known = ()  # type: ignore[attr-defined]  # and again
        await gateway.live.follow_once()
    kinds = {"away": "policy-bundle-unavailable", "its suites fail": "policy-reload-failed"}
    assert stored_alerts(world) == [kinds.get(broken, "policy-bundle-refused")] * 2


async def test_what_could_not_be_tried_is_tried_again(
    signed: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that did not come up says nothing of the bundle."""

    async def down(*_: object) -> None:
        raise PolicyUnavailable("OPA was not ready")

    async with signed.running() as (gateway, policy):
        first = gateway.live.bundle.revision
        signed.put(signed.signed("second", 2))
        with monkeypatch.context() as broken:
            broken.setattr(gateway.parts.policy, "reload", down)
            assert await gateway.live.follow_once() == "OPA was not ready"
        assert policy.revision == first
        assert await gateway.live.follow_once() == ""
        assert gateway.parts.policy.revision == policy.revision != first


async def test_a_reload_asks_anew(signed: Delivering) -> None:
    """Whoever asks for it hears of a bundle that was refused before, too."""
    async with signed.running() as (gateway, _):
        signed.put(signed.signed("broken", 2, fails=True))
        await gateway.live.follow_once()
        with pytest.raises(PolicyInvalid, match="suites"):
            await gateway.reload_policy()


async def test_a_look_waits_for_a_change_under_way(
    signed: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle that came meanwhile is no last good one before it was loaded."""
    async with signed.running() as (gateway, policy):
        reload = gateway.parts.policy.reload
        following: list[asyncio.Task[str]] = []

        async def meanwhile(*given: Any) -> None:
            signed.put(broken)
            following.append(asyncio.create_task(gateway.live.follow_once()))
            await asyncio.sleep(0.2)
            monkeypatch.undo()
            await reload(*given)

        broken = signed.signed("broken", 3, fails=True)
        signed.put(signed.signed("second", 2))
        monkeypatch.setattr(gateway.parts.policy, "reload", meanwhile)
        await gateway.reload_policy()
        assert policy.number == 2
        assert "suites" in await following[0]
        assert policy.number == 2


async def test_a_rollback_after_a_refused_offer_is_done(signed: Delivering) -> None:
    """It holds against what is offered then: the last good bundle, not the refused one."""
    async with signed.running() as (gateway, _):
        first = gateway.live.bundle.revision
        signed.put(signed.signed("bad", 2))
        await gateway.live.follow_once()
        signed.put(signed.signed("broken", 3, fails=True))
        await gateway.live.follow_once()
        assert await gateway.live.rollback() == gateway.parts.policy.revision == first
        with contextlib.suppress(PolicyError):
            await gateway.reload_policy()
        assert gateway.parts.policy.revision == first


async def test_a_choice_in_our_state_has_to_be_signed(signed: Delivering, world: World) -> None:
    """Whoever writes there has no key: while we run, and at the next start."""
    async with signed.running() as (gateway, _):
        first = gateway.live.bundle.revision
        main = world.bundle / "main.rego"
        main.write_text(main.read_text() + "\n# evil\n")
        unsigned = build(world.bundle, find_opa().path, 9)
        signed.choices.choose(unsigned, first)
        async with asyncio.timeout(20):
            while (await gateway.live.status())["refused"] is None:
                await asyncio.sleep(0.02)
        assert gateway.parts.policy.revision == first
    async with signed.running() as (gateway, _):
        assert gateway.parts.policy.revision == first
    assert stored_alerts(world)[-1] == "policy-not-kept"


@pytest.mark.parametrize(
    ("number", "told"), [(0, "not signed"), (1, "smaller than 2"), (2, ""), (3, "")]
)
async def test_only_what_is_signed_and_not_older_is_promoted(
    signed: Delivering, world: World, number: int, told: str
) -> None:
    """A candidate in a directory may be tried, and is not promoted."""
    signed.put(signed.signed("first", 2))
    shadow = world.directory / "shadow.tar.gz"
    if number:
        shadow.write_bytes(signed.signed("candidate", number))
    else:
        signed.signed("candidate", 1)
        shutil.copytree(world.bundle, world.directory / "candidate")
    policy = {**world.settings["policy"], "shadow": shadow.name if number else "candidate"}
    world.settings = {"policy": policy}
    async with signed.running() as (gateway, _):
        revision = (await gateway.live.status())["shadow"]["revision"]
        if told:
            with pytest.raises(PolicyInvalid, match=told):
                await gateway.live.promote(revision)
        else:
            assert await gateway.live.promote(revision) == gateway.parts.policy.revision


async def test_a_choice_outlives_a_restart_as_it_was_signed(signed: Delivering) -> None:
    """It is verified again, and decides."""
    async with signed.running() as (gateway, _):
        first = gateway.live.bundle.revision
        signed.put(signed.signed("second", 2))
        await gateway.live.follow_once()
        await gateway.live.rollback()
    async with signed.running() as (gateway, _):
        assert gateway.parts.policy.revision == first


async def test_a_last_good_bundle_that_does_not_load_gives_way_to_a_newer_one(
    signed: Delivering, world: World
) -> None:
    """Without a newer one there is no start."""
    async with signed.running() as (gateway, _):
        first = gateway.live.bundle.revision
    failing = signed.signed("fails since the update", 2, fails=True)
    (world.directory / "var" / "policy" / LAST_GOOD).write_bytes(failing)
    with pytest.raises(PolicyInvalid, match="suites"):
        async with signed.running():
            pass
    signed.put(signed.signed("mended", 3))
    async with signed.running() as (gateway, policy):
        assert (policy.number, gateway.parts.policy.revision == first) == (3, False)


@pytest.mark.parametrize("content", [b"x", None], ids=["damaged", "no file"])
async def test_a_last_good_bundle_that_is_lost_is_told(
    signed: Delivering, world: World, content: bytes | None
) -> None:
    """Its number would have kept an older one away."""
    async with signed.running():
        pass
    kept = world.directory / "var" / "policy" / LAST_GOOD
    kept.unlink()
    kept.write_bytes(content) if content else kept.mkdir()
    async with signed.running() as (gateway, policy):
        assert policy.number == 1
        assert gateway.started.is_set()
    assert stored_alerts(world) == ["policy-not-kept"]
