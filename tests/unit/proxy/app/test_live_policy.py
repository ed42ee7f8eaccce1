import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.app import live_policy as module
from proxy.app.gateway import Gateway
from proxy.errors import PolicyInvalid
from proxy.pdp.archive import pack
from proxy.pdp.delivery.choice import Choices
from proxy.pdp.delivery.packing import pack_files, unpack_files
from tests.harness.assembled import break_policy, running, stored_alerts
from tests.harness.tiny_bundle import FAILING_SUITE, RULE, write
from tests.harness.world import World


@pytest.fixture
async def gateway(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """A gateway that has started."""
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    async with running(world) as gateway:
        yield gateway


@pytest.fixture
async def watched(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    """A gateway with a candidate."""
    monkeypatch.setattr(module, "LOOK_S", 60)
    world.write()
    candidate = world.directory / "candidate"
    shutil.copytree(world.bundle, candidate)
    change(candidate, "candidate")
    world.settings = {"policy": {"bundle": "policies", "shadow": "candidate"}}
    async with running(world) as gateway:
        yield gateway


def change(bundle: Path, text: str) -> None:
    write(bundle, {"main.rego": f"{RULE}\n# {text}\n"})


async def test_the_status_tells_what_is_in_force(gateway: Gateway, world: World) -> None:
    """And what was refused."""
    first = await gateway.live.status()
    assert first["policy_revision"] == first["offered"] == gateway.parts.policy.revision
    assert [first[name] for name in ("number", "previous", "refused", "shadow")] == [None] * 4
    break_policy(world)
    with pytest.raises(PolicyInvalid):
        await gateway.reload_policy()
    refused = (await gateway.live.status())["refused"]
    assert "main.rego" in refused["message"]
    assert gateway.live.signed() == b""


async def test_a_rollback_goes_forth_only_by_name(gateway: Gateway, world: World) -> None:
    """Who asks twice to get rid of a policy does not get it back; what is offered is told too."""
    old = gateway.parts.policy.revision
    change(world.bundle, "new")
    new = await gateway.reload_policy()
    assert await gateway.live.rollback() == gateway.parts.policy.revision == old
    told = await gateway.live.status()
    assert (told["offered"], told["previous"]) == (new, new)
    with pytest.raises(PolicyInvalid, match="itself left by a rollback"):
        await gateway.live.rollback()
    with pytest.raises(PolicyInvalid, match="before this one is "):
        await gateway.live.rollback(old)
    assert await gateway.live.rollback(new) == gateway.parts.policy.revision == new
    with pytest.raises(PolicyInvalid, match=f"{re.escape(old)}, .*was itself left"):
        await gateway.live.rollback()
    assert await gateway.live.rollback(old) == gateway.parts.policy.revision == old


async def test_a_rollback_holds_until_the_source_moves_on(gateway: Gateway, world: World) -> None:
    """A reload of what was left does not bring it back; a correction is taken."""
    old = gateway.parts.policy.revision
    change(world.bundle, "bad")
    await gateway.reload_policy()
    await gateway.live.rollback()
    assert await gateway.reload_policy() == old
    change(world.bundle, "corrected")
    assert await gateway.reload_policy() not in {old, ""}


async def test_a_choice_does_not_come_back_with_what_it_replaced(
    gateway: Gateway, world: World
) -> None:
    """Once the source has moved on, its old revision decides again when it is put back."""
    first = gateway.parts.policy.revision
    left = (world.bundle / "main.rego").read_bytes()
    change(world.bundle, "chosen")
    chosen = await gateway.reload_policy()
    (world.bundle / "main.rego").write_bytes(left)
    assert await gateway.reload_policy() == first
    assert await gateway.live.rollback() == chosen
    assert await gateway.reload_policy() == chosen
    change(world.bundle, "next")
    assert await gateway.reload_policy() not in {first, chosen}
    (world.bundle / "main.rego").write_bytes(left)
    assert await gateway.reload_policy() == first


async def test_without_a_policy_before_there_is_no_way_back(gateway: Gateway) -> None:
    """The first one stays."""
    with pytest.raises(PolicyInvalid, match="nothing to go back to"):
        await gateway.live.rollback()


async def test_a_choice_that_does_not_load_is_taken_back(
    gateway: Gateway, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was in force stays, people are told, and a restart knows nothing of it."""
    change(world.bundle, "new")
    new = await gateway.reload_policy()

    async def fail(*_: object) -> None:
        raise PolicyInvalid("its suites fail")

    monkeypatch.setattr(gateway.parts.policy, "reload", fail)
    with pytest.raises(PolicyInvalid, match="suites"):
        await gateway.live.rollback()
    assert gateway.parts.policy.revision == new
    assert stored_alerts(world) == ["policy-reload-failed"]
    assert Choices(world.directory / "var" / "policy").instead_of(new) == b""


async def test_a_choice_is_kept_only_once_it_was_loaded(
    gateway: Gateway, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that ends while it tries one starts again without it."""
    change(world.bundle, "new")
    new = await gateway.reload_policy()
    kept: list[bytes] = []

    async def fail(*_: object) -> None:
        kept.append(Choices(world.directory / "var" / "policy").instead_of(new))
        raise PolicyInvalid("its suites fail")

    monkeypatch.setattr(gateway.parts.policy, "reload", fail)
    with pytest.raises(PolicyInvalid):
        await gateway.live.rollback()
    assert kept == [b""]


async def test_a_choice_that_cannot_be_kept_does_not_stay_in_force(
    gateway: Gateway, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart would take it back."""
    change(world.bundle, "new")
    new = await gateway.reload_policy()

    def full(*_: object) -> None:
        raise PolicyInvalid("the choice cannot be kept on disk")

    monkeypatch.setattr(Choices, "choose", full)
    with pytest.raises(PolicyInvalid, match="cannot be kept"):
        await gateway.live.rollback()
    assert gateway.parts.policy.revision == new


async def test_a_choice_that_does_not_load_ends_no_start(world: World) -> None:
    """What is offered decides, people are told, and the choice is gone."""
    async with running(world) as gateway:
        old = gateway.live.bundle.revision
        failing = {"suites/reads.yaml": FAILING_SUITE.encode()}
        packed = pack_files(unpack_files(gateway.parts.source.archive) | failing)
        choices = Choices(world.directory / "var" / "policy")
        choices.choose(other_revision(packed), old)
    async with running(world) as gateway:
        assert gateway.live.bundle.revision == gateway.parts.policy.revision == old
    assert stored_alerts(world) == ["policy-not-kept"]
    assert choices.instead_of(old) == b""


def other_revision(packed: bytes) -> bytes:
    files = unpack_files(packed)
    manifest = {**json.loads(files[".manifest"]), "revision": "sha256:chosen"}
    return pack_files(files | {".manifest": json.dumps(manifest).encode()})


async def test_another_process_of_ours_chooses_for_us_too(gateway: Gateway, world: World) -> None:
    """Workers share a directory, and one of them is asked; a broken choice is told."""
    old = gateway.parts.policy.revision
    change(world.bundle, "new")
    new = await gateway.reload_policy()
    other = Choices(world.directory / "var" / "policy")
    other.choose(other.previous(), new)
    async with asyncio.timeout(20):
        while gateway.parts.policy.revision != old:
            await asyncio.sleep(0.01)
    break_policy(world)
    other.clear()
    async with asyncio.timeout(20):
        while (await gateway.live.status())["refused"] is None:
            await asyncio.sleep(0.01)
    assert gateway.parts.policy.revision == old


async def test_a_candidate_is_promoted_by_its_name(watched: Gateway, world: World) -> None:
    """Only the one that was looked at; after that it is what decides."""
    shadow = (await watched.live.status())["shadow"]
    with pytest.raises(PolicyInvalid, match="the candidate is sha256:"):
        await watched.live.promote("sha256:other")
    assert await watched.live.promote(shadow["revision"]) == shadow["revision"]
    assert watched.parts.policy.revision == shadow["revision"]
    (world.bundle / "main.rego").write_text((world.directory / "candidate/main.rego").read_text())
    assert await watched.reload_policy() == shadow["revision"]


async def test_without_a_candidate_nothing_is_promoted(gateway: Gateway) -> None:
    """With the cure."""
    with pytest.raises(PolicyInvalid, match=r"policy\.shadow"):
        await gateway.live.promote("sha256:1")


async def test_a_sidecar_chooses_nothing(
    gateway: Gateway, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its policy is its gateway's, and it keeps none of its own."""
    monkeypatch.setattr(gateway.parts.source, "choices", None)
    change(world.bundle, "new")
    await gateway.reload_policy()
    with pytest.raises(PolicyInvalid, match="its gateway's"):
        await gateway.live.rollback()
    with pytest.raises(PolicyInvalid, match="Cure: ask the gateway"):
        await gateway.live._choose(b"x")
    assert (await gateway.live.status())["previous"] is None
    await gateway.live.follow_choices()


async def test_those_attached_get_what_is_in_force(gateway: Gateway) -> None:
    """Under its revision."""
    revision, packed = await gateway.live.archived()
    assert revision == gateway.parts.policy.revision
    assert packed[:2] == b"\x1f\x8b"


async def test_those_attached_get_no_half_of_a_bundle(
    gateway: Gateway, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is replaced while it is packed is being deleted: the next is packed instead."""
    change(world.bundle, "new")
    loop = asyncio.get_running_loop()
    packed: list[Path] = []

    def replaced_meanwhile(directory: Path) -> bytes:
        if not packed:
            packed.append(directory)
            asyncio.run_coroutine_threadsafe(gateway.reload_policy(), loop).result(20)
        return pack(directory)

    monkeypatch.setattr(module, "pack", replaced_meanwhile)
    revision, given = await gateway.live.archived()
    assert revision == gateway.parts.policy.revision
    assert b"# new" in unpack_files(given)["main.rego"]
