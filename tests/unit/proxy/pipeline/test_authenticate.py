from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.token import TokenKind, new_token, token_sha256
from proxy.pipeline.authenticate import Authenticator
from proxy.pipeline.sessions import SessionRequest


async def test_an_agent_token_speaks_for_its_implicit_session(house: Any) -> None:
    """The same agent gets the same session again."""
    first, second = await house.caller(), await house.caller()
    assert first.session.id == second.session.id
    assert first.session.implicit


async def test_a_session_token_speaks_for_its_session(house: Any) -> None:
    """The principal is the agent's, with its roles."""
    opened = await house.pipeline.open_session(house.token, SessionRequest())
    caller = await house.pipeline.authenticate(opened.token)
    assert caller.session.id == opened.session.id
    assert caller.principal.roles == ("maintainer",)


@pytest.mark.parametrize("kind", list(TokenKind))
async def test_an_unknown_token_of_any_kind_is_refused(house: Any, kind: TokenKind) -> None:
    """There is no fallback principal."""
    with pytest.raises(Refused, match="not-authenticated"):
        await house.pipeline.authenticate(new_token(kind))


@pytest.mark.parametrize("token", ["", "Bearer", "dta_" + "a" * 43, "null"])
async def test_garbage_is_refused(house: Any, token: str) -> None:
    """A token of another form is not even looked up."""
    with pytest.raises(Refused, match="not-authenticated"):
        await house.pipeline.authenticate(token)


async def test_the_token_of_an_ended_session_is_refused(house: Any) -> None:
    """An ended session does not come back."""
    opened = await house.pipeline.open_session(house.token, SessionRequest())
    caller = await house.pipeline.authenticate(opened.token)
    await house.pipeline.end_session(caller, opened.session.id)
    with pytest.raises(Refused, match="session-closed"):
        await house.pipeline.authenticate(opened.token)


async def test_the_token_of_an_expired_session_is_refused(house: Any) -> None:
    """Time ends a session too."""
    caller = await house.caller()
    token = new_token(TokenKind.SESSION)
    past = datetime.now(UTC) - timedelta(seconds=1)
    old = replace(caller.session, id="ses_old", implicit=False, expires_at=past)
    await house.store.open_session(old, token_sha256(token), 10)
    with pytest.raises(Refused, match="session-closed"):
        await house.pipeline.authenticate(token)


async def test_the_session_of_an_agent_that_is_gone_is_refused(house: Any) -> None:
    """Removing an agent from the configuration ends its sessions."""
    opened = await house.pipeline.open_session(house.token, SessionRequest())
    without = Authenticator({}, house.store, house.stages.desk)
    with pytest.raises(Refused, match="not-authenticated"):
        await without.caller(opened.token)
