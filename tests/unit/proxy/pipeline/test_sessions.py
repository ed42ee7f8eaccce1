from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.session import Mode, Principal
from proxy.pipeline.sessions import SessionDesk, SessionRequest, agent_scopes


@pytest.mark.parametrize(
    ("most", "asked", "given"),
    [
        (Mode.READ_WRITE, None, Mode.READ_WRITE),
        (Mode.READ_WRITE, Mode.DRY_RUN, Mode.DRY_RUN),
        (Mode.READ_ONLY, Mode.READ_WRITE, Mode.READ_ONLY),
        (Mode.DRY_RUN, Mode.READ_WRITE, Mode.DRY_RUN),
    ],
)
async def test_an_agent_can_ask_for_less_never_for_more(
    house: Any, principal: Principal, most: Mode, asked: Mode | None, given: Mode
) -> None:
    """The mode is capped by what the agent may do at most."""
    limited = replace(principal, max_mode=most)
    opened = await house.stages.desk.open(limited, SessionRequest(mode=asked))
    assert opened.session.mode is given


@pytest.mark.parametrize(("asked", "given"), [(None, 100), (10, 10), (10_000, 100), (-5, 0)])
async def test_the_budget_is_capped_too(
    house: Any, principal: Principal, asked: int | None, given: int
) -> None:
    """A session's budget is never more than policy gives."""
    opened = await house.stages.desk.open(principal, SessionRequest(risk=asked))
    assert opened.budget.limit == given


async def test_the_token_does_not_show(house: Any, principal: Principal) -> None:
    """A log line with an opened session does not give its token away."""
    opened = await house.stages.desk.open(principal, SessionRequest())
    assert opened.token not in repr(opened)


async def test_an_expired_implicit_session_is_replaced(house: Any, principal: Principal) -> None:
    """An agent that runs for days gets a new session when the old one has run out."""
    desk = SessionDesk(house.store, lambda *_: _limits(house), timedelta(seconds=-1))
    first = await desk.implicit(principal)
    second = await desk.implicit(principal)
    assert first.id != second.id


async def test_an_implicit_session_can_be_ended_and_comes_back_new(
    house: Any, principal: Principal
) -> None:
    """Ending it is the agent's way to begin afresh; locks and budgets stay with the agent."""
    first = await house.stages.desk.implicit(principal)
    await house.stages.desk.end(principal, first.id)
    assert (await house.stages.desk.implicit(principal)).id != first.id


async def test_nobody_ends_a_session_of_another_agent(house: Any, principal: Principal) -> None:
    """Nor one that does not exist."""
    session = (await house.caller()).session
    other = replace(principal, agent="other")
    for session_id in (session.id, "ses_none"):
        with pytest.raises(Refused, match="session-closed"):
            await house.stages.desk.end(other, session_id)


async def test_a_locked_agent_opens_no_session(house: Any) -> None:
    """A new session does not shed a lock."""
    caller = await house.caller()
    await house.store.lock_agent("acme", "loop", "canary", caller.session.opened_at)
    with pytest.raises(Refused, match="agent-locked"):
        await house.pipeline.open_session(house.token, SessionRequest())


async def test_open_sessions_are_capped(house: Any) -> None:
    """Ten at a time."""
    for _ in range(10):
        await house.pipeline.open_session(house.token, SessionRequest())
    with pytest.raises(Refused, match="too-many-sessions"):
        await house.pipeline.open_session(house.token, SessionRequest())


def test_an_agent_stands_under_three_scopes(principal: Principal) -> None:
    """Before it has a session."""
    assert [scope.id for scope in agent_scopes(principal)] == ["", "acme", "acme/loop"]


def _limits(house: Any) -> Any:
    return house.stages.admit._limits("acme", "loop")
