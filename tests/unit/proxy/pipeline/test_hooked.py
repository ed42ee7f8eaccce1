from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.call import TOOL_USE, Door, ToolCall
from proxy.model.hook import HookKey
from proxy.model.kill import Scope, ScopeKind
from proxy.model.session import SessionState

KEY = HookKey("claude-code", "s1")


def mcp_call(tool_use_id: str = "t1", door: Door = Door.MCP) -> ToolCall:
    meta = b'{"%b":"%b"}' % (TOOL_USE.encode(), tool_use_id.encode())
    return ToolCall("repo", "read_file", b'{"path":"a"}', door, meta=meta)


async def test_the_first_tool_use_opens_a_session(house: Any) -> None:
    """One of its own, which the next one finds again; its name is its purpose."""
    hooked, caller = house.pipeline.hooked, await house.caller()
    entered = await hooked.enter(caller, KEY)
    assert (entered.session.implicit, entered.session.purpose) == (False, "claude-code s1")
    assert entered.session.id != caller.session.id
    assert (await hooked.enter(caller, KEY)).session == entered.session
    assert (await hooked.find(caller, KEY)).session == entered.session


async def test_another_name_is_another_session(house: Any) -> None:
    """So is the same name of another program."""
    hooked, caller = house.pipeline.hooked, await house.caller()
    keys = (KEY, HookKey("claude-code", "s2"), HookKey("codex", "s1"))
    assert len({(await hooked.enter(caller, key)).session.id for key in keys}) == 3


async def test_a_session_that_ended_is_followed_by_another(house: Any) -> None:
    """An agent that takes its session up again; what was open in the old one is still found."""
    hooked, caller = house.pipeline.hooked, await house.caller()
    first = await hooked.enter(caller, KEY)
    await hooked.leave(caller, KEY)
    assert (await hooked.find(caller, KEY)).session == replace(
        first.session, state=SessionState.ENDED
    )
    assert (await hooked.enter(caller, KEY)).session.id != first.session.id


async def test_a_killed_session_cannot_be_left_for_another(house: Any) -> None:
    """Its name stays killed, whether it has ended or not."""
    hooked, caller = house.pipeline.hooked, await house.caller()
    entered = await hooked.enter(caller, KEY)
    await house.kill_switch.kill((Scope(ScopeKind.SESSION, entered.session.id),), "oncall", "x")
    for _ in range(2):
        with pytest.raises(Refused, match="killed"):
            await hooked.enter(caller, KEY)
        await hooked.leave(caller, KEY)


async def test_a_caller_with_a_session_token_stays_where_it_is(house: Any) -> None:
    """Whatever it calls its session."""
    hooked, caller = house.pipeline.hooked, await house.caller()
    own = replace(caller, session=replace(caller.session, implicit=False))
    assert await hooked.enter(own, KEY) is own
    assert await hooked.find(own, KEY) is own
    await hooked.leave(own, KEY)
    assert (await house.store.session(own.session.id)).is_open_at(datetime.now(UTC))


async def test_nothing_is_found_or_left_under_a_name_nobody_has(house: Any) -> None:
    """The caller stays in its implicit session."""
    hooked, caller = house.pipeline.hooked, await house.caller()
    assert await hooked.find(caller, KEY) is caller
    await hooked.leave(caller, KEY)
    assert (await house.store.session(caller.session.id)).is_open_at(datetime.now(UTC))


async def test_an_announced_call_belongs_to_the_session_of_its_hook(house: Any) -> None:
    """One run of an agent is one chain."""
    caller = await house.caller()
    entered = await house.pipeline.hooked.enter(caller, KEY)
    await house.pipeline.hooked.announce(entered, "t1")
    assert await house.pipeline.hooked.is_carried(caller, "t1") is False
    await house.pipeline.run(caller, mcp_call())
    assert await house.pipeline.hooked.is_carried(caller, "t1") is True
    (row,) = await house.store.steps(entered.session.id, (), 10)
    assert row.intent.tool == "read_file"


@pytest.mark.parametrize(
    ("call", "announced", "ended"),
    [
        (mcp_call("t2"), "t1", False),
        (mcp_call(door=Door.CALLS), "t1", False),
        (mcp_call(), "t1", True),
        (ToolCall("repo", "read_file", b"{}", Door.MCP), "t1", False),
    ],
    ids=["another id", "another door", "a session that ended", "no id"],
)
async def test_any_other_call_stays_in_its_own_session(
    house: Any, call: ToolCall, announced: str, ended: bool
) -> None:
    """Nothing is joined by guess."""
    hooked, caller = house.pipeline.hooked, await house.caller()
    await hooked.announce(await hooked.enter(caller, KEY), announced)
    if ended:
        await hooked.leave(caller, KEY)
    assert await hooked.joined(caller, call) is caller


async def test_the_same_id_of_another_principal_joins_nothing(house: Any) -> None:
    """Ids are the agent's own word."""
    hooked, caller = house.pipeline.hooked, await house.caller()
    await hooked.announce(await hooked.enter(caller, KEY), "t1")
    other = replace(caller, principal=replace(caller.principal, tenant="globex"))
    assert await hooked.joined(other, mcp_call()) is other
    assert await hooked.is_carried(other, "t1") is None


async def test_an_explicit_session_is_not_left_for_the_announced_one(house: Any) -> None:
    """Its token says where it belongs."""
    hooked, caller = house.pipeline.hooked, await house.caller()
    await hooked.announce(await hooked.enter(caller, KEY), "t1")
    own = replace(caller, session=replace(caller.session, implicit=False))
    assert await hooked.joined(own, mcp_call()) is own
