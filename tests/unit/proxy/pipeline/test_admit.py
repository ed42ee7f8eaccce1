from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.model.call import Door, ToolCall
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.ledger import Outcome
from proxy.model.session import Mode, Principal
from proxy.pipeline.authenticate import Caller


async def refused(house: Any, reason: str) -> None:
    """The call is refused for that reason and nothing reached the tool or the policy."""
    answer = await house.call()
    assert [given.id for given in answer.reasons] == [reason]
    assert answer.outcome is Outcome.DENIED
    assert house.tool.received == []
    assert house.engine.inputs == []


@pytest.mark.parametrize(
    "scope",
    [
        GLOBAL,
        Scope(ScopeKind.TENANT, "acme"),
        Scope(ScopeKind.AGENT, "acme/loop"),
        Scope(ScopeKind.TOOL, "repo/write_file"),
    ],
)
async def test_a_killed_scope_admits_nothing(house: Any, scope: Scope) -> None:
    """Refused before the policy is even asked."""
    await house.caller()
    await house.kill_switch.kill((scope,), "oncall", "test")
    await refused(house, "killed")


async def test_a_draining_gateway_admits_nothing(house: Any) -> None:
    """SIGTERM lets the calls in flight end and takes no new ones."""
    house.stages.admit.draining = True
    await refused(house, "draining")


async def test_a_locked_agent_is_not_admitted(house: Any) -> None:
    """A lock holds in sessions that were open before it."""
    await house.caller()
    await house.store.lock_agent("acme", "loop", "canary", datetime.now(UTC))
    await refused(house, "agent-locked")


@pytest.mark.parametrize(
    "scope",
    [GLOBAL, Scope(ScopeKind.TENANT, "acme"), Scope(ScopeKind.AGENT, "acme/loop")],
)
async def test_a_dry_run_toggle_makes_writes_previews(house: Any, scope: Scope) -> None:
    """Toggled on the server, whatever the session says; reads stay real."""
    await house.store.set_dry_run(scope, True, "oncall", datetime.now(UTC))
    assert (await house.call("write_file")).outcome is Outcome.DRY_RUN
    assert house.engine.inputs[-1]["context"]["session"]["mode"] == Mode.DRY_RUN.value
    assert house.tool.received == []
    assert (await house.call("read_file")).outcome is Outcome.DONE


async def test_a_session_never_outranks_its_agent(house: Any, principal: Principal) -> None:
    """An agent that was narrowed by a restart keeps no wider mode in an old session."""
    caller = await house.caller()
    narrowed = Caller(replace(principal, max_mode=Mode.DRY_RUN), caller.session)
    call = ToolCall("repo", "write_file", b'{"path":"a"}', Door.CALLS)
    assert (await house.pipeline.run(narrowed, call)).outcome is Outcome.DRY_RUN
    assert house.tool.received == []
