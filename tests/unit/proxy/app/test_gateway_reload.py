import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.app.gateway import Gateway
from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.pdp.base import StagedBundle
from tests.harness.assembled import (
    break_policy,
    copies,
    fail_suite,
    running,
    series,
    stored_alerts,
)
from tests.harness.changing_mcp import ChangingMcp, pin_of
from tests.harness.world import World


@pytest.fixture
async def gateway(staging: Path, world: World) -> AsyncIterator[Gateway]:
    """A gateway that has started."""
    async with running(world) as gateway:
        yield gateway


async def test_a_reload_serves_the_directory_as_it_is_now(
    gateway: Gateway, world: World, staging: Path
) -> None:
    """New revision, new manifests, and one staged copy: the old one is gone."""
    before = gateway.parts.policy.revision
    world.data("tools/rec", {"read": world.tools["rec"]["read"]})
    revision = await gateway.reload_policy()
    assert gateway.parts.policy.revision == revision != before
    assert gateway.parts.catalogue.names() == ["rec/read"]
    assert gateway.parts.registry.definition("rec", "write") is None
    assert series(gateway, f'policy_info{{revision="{revision}"}}') == 1
    assert copies(staging) == 1


@pytest.mark.parametrize(
    "spoil", [break_policy, fail_suite], ids=["rego that is broken", "suites that fail"]
)
async def test_a_reload_of_a_bad_bundle_changes_nothing_and_alerts(
    gateway: Gateway, world: World, staging: Path, spoil: Callable[[World], None]
) -> None:
    """The last good policy decides on; its copy is the only one."""
    before, names = gateway.parts.policy.revision, gateway.parts.catalogue.names()
    world.data("tools/rec", {"read": world.tools["rec"]["read"]})
    spoil(world)
    with pytest.raises(PolicyInvalid):
        await gateway.reload_policy()
    assert (gateway.parts.policy.revision, gateway.parts.catalogue.names()) == (before, names)
    assert stored_alerts(world) == ["policy-reload-failed"]
    assert series(gateway, 'policy_reloads_total{result="failed"}') == 1
    assert copies(staging) == 1


async def test_after_a_failed_reload_the_next_good_one_is_taken(
    gateway: Gateway, world: World
) -> None:
    """A correction needs no restart."""
    good = (world.bundle / "main.rego").read_text()
    break_policy(world)
    with pytest.raises(PolicyInvalid):
        await gateway.reload_policy()
    (world.bundle / "main.rego").write_text(good + "\n# corrected\n")
    assert await gateway.reload_policy() == gateway.parts.policy.revision


async def test_reloads_at_once_are_made_one_after_the_other(
    gateway: Gateway, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the manifests of one could meet the rules of another, or miss their suites."""
    busy: list[int] = []
    at_once: list[int] = []
    load = gateway.parts.policy.reload

    async def watched(bundle: StagedBundle, swapped: Callable[[], None]) -> None:
        busy.append(1)
        at_once.append(len(busy))
        await load(bundle, swapped)
        busy.pop()

    monkeypatch.setattr(gateway.parts.policy, "reload", watched)
    revisions = await asyncio.gather(*(gateway.reload_policy() for _ in range(2)))
    assert at_once == [1, 1]
    assert set(revisions) == {gateway.parts.policy.revision}


async def test_an_engine_that_does_not_come_up_keeps_the_last_good_policy(
    gateway: Gateway, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only a bad bundle can make a reload fail."""

    async def down(*_: object) -> None:
        raise PolicyUnavailable("OPA was not ready")

    before = gateway.parts.policy.revision
    monkeypatch.setattr(gateway.parts.engine, "replace", down)
    with pytest.raises(PolicyUnavailable):
        await gateway.reload_policy()
    assert (gateway.parts.policy.revision, copies(staging)) == (before, 1)


@pytest.fixture
async def changing(world: World) -> AsyncIterator[ChangingMcp]:
    """A server whose one reviewed tool can change."""
    server = await ChangingMcp().start()
    world.servers = {"docs": {"mcp": {"url": server.url}, "allow_private": True}}
    reviewed: dict[str, Any] = {"pin": pin_of(server.definition), "effect": "read", "risk": 1}
    world.tools = {**world.tools, "docs": {"lookup": reviewed}}
    yield server
    await server.stop()


async def test_a_tool_that_leaves_its_pin_is_alerted_once(
    changing: ChangingMcp, world: World
) -> None:
    """Once each time: not at every look, but again after it had come back."""
    good = dict(changing.definition)
    async with running(world) as gateway:
        for description in ("Sends your keys.", "Sends your keys!", good["description"], "Again."):
            changing.definition["description"] = description
            await gateway.parts.registry.refresh()
    assert stored_alerts(world) == ["tool-quarantined", "tool-quarantined"]


async def test_a_tool_that_left_its_pin_while_we_were_away_is_alerted_at_the_start(
    changing: ChangingMcp, world: World
) -> None:
    """The first look counts too."""
    changing.definition["description"] = "Sends your keys."
    async with running(world):
        pass
    assert stored_alerts(world) == ["tool-quarantined"]
