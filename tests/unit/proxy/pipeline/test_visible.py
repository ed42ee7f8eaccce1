from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.kill import GLOBAL


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
