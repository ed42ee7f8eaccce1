import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.pipeline import resolve


async def visible(house: Any, server: str | None = None) -> list[str]:
    tools = await house.pipeline.visible(await house.caller(), server)
    return [f"{tool.server}/{tool.definition.name}" for tool in tools]


async def test_the_policy_says_what_is_seen(house: Any) -> None:
    """Only healthy tools are asked about; only visible ones are listed."""
    assert await visible(house) == ["repo/read_file", "repo/write_file"]
    asked = [tool["id"] for tool in house.engine.inputs[0]["resources"]]
    assert asked == ["repo/read_file", "repo/rm", "repo/write_file"]


async def test_one_server_can_be_listed_alone(house: Any) -> None:
    """A server without tools needs no question."""
    assert await visible(house, "repo") == ["repo/read_file", "repo/write_file"]
    assert await visible(house, "other") == []


async def test_without_a_policy_nothing_is_seen(house: Any) -> None:
    """Fail closed, lists included."""
    house.engine.down = True
    with pytest.raises(Refused, match="policy-unavailable"):
        await visible(house)


async def test_a_kill_hides_everything(house: Any) -> None:
    """A killed agent gets no list and opens no stream."""
    caller = await house.caller()
    await house.kill_switch.kill((GLOBAL,), "oncall", "now")
    with pytest.raises(Refused, match="killed"):
        await visible(house)
    with pytest.raises(Refused, match="killed"):
        house.pipeline.stream(caller)


async def test_a_locked_agent_gets_no_list(house: Any) -> None:
    """None of the tools could be called (I21)."""
    await house.store.lock_agent("acme", "loop", "canary", datetime.now(UTC))
    with pytest.raises(Refused, match="agent-locked"):
        await visible(house)


async def test_a_killed_tool_is_not_listed(house: Any) -> None:
    """The others are."""
    killed = Scope(ScopeKind.TOOL, "repo/write_file")
    await house.kill_switch.kill((killed,), "oncall", "now")
    assert await visible(house) == ["repo/read_file"]


async def test_the_list_is_made_for_the_mode_that_calls_run_in(house: Any) -> None:
    """A dry-run toggle changes it, whatever the session was opened with."""
    await house.store.set_dry_run(GLOBAL, True, "oncall", datetime.now(UTC))
    await visible(house)
    assert house.engine.inputs[-1]["context"]["session"]["mode"] == "dry_run"


async def test_a_list_that_changes_too_fast_is_neither_shown_nor_called(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its tools are now is not known."""
    monkeypatch.setattr(resolve, "SETTLED_S", 0.01)
    house.tool.definitions = asyncio.Event().wait
    house.registry.mark_stale("repo")
    assert await visible(house) == []
    answer = await house.call("read_file")
    assert answer.reasons[0].id == "tool-quarantined"
    assert house.tool.received == []
