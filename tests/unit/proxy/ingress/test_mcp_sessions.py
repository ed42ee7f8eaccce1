import asyncio
import time

import pytest

from proxy.errors import BadRequest
from proxy.ingress.mcp_sessions import McpSession, McpSessions, SessionLimits

ACME = ("acme", "loop", None)
OTHER = ("acme", "other", None)


class Ended(list[str]):
    """The keys of sessions that ended."""


def sessions_with(**limits: float) -> tuple[McpSessions, Ended]:
    ended = Ended()
    return McpSessions(SessionLimits(**limits), ended.append), ended  # type: ignore[arg-type] # figures of a table


def test_an_id_is_long_and_the_key_is_another() -> None:
    """Servers and logs never see what a client shows."""
    sessions, _ = sessions_with()
    session_id = sessions.open(ACME, {"roots": {}})
    session = sessions.find(session_id, ACME)
    assert len(session_id) == 43
    assert session.key not in session_id
    assert session.capabilities == {"roots": {}}


def test_an_id_is_good_for_its_owner_only() -> None:
    """For any other there is no such session, and nothing of it changes."""
    sessions, ended = sessions_with()
    session_id = sessions.open(ACME, {})
    for owner in (OTHER, ("globex", "loop", None), ("acme", "loop", "rec")):
        with pytest.raises(BadRequest) as refused:
            sessions.find(session_id, owner)
        assert refused.value.http == 404
    assert sessions.find(session_id, ACME)
    assert ended == []


def test_a_principal_at_its_cap_loses_the_longest_unused_session() -> None:
    """Others are not touched; servers are told to let go of it."""
    sessions, ended = sessions_with(per_principal=2)
    first, second, other = (sessions.open(owner, {}) for owner in (ACME, ACME, OTHER))
    key = sessions.find(second, ACME).key
    sessions.find(first, ACME)
    sessions.open(ACME, {})
    with pytest.raises(BadRequest):
        sessions.find(second, ACME)
    assert ended == [key]
    assert sessions.find(first, ACME)
    assert sessions.find(other, OTHER)


def test_sessions_in_use_are_not_taken_away() -> None:
    """A principal that uses all of them is refused another."""
    sessions, _ = sessions_with(per_principal=1)
    session = sessions.find(sessions.open(ACME, {}), ACME)
    with session.stream(resumes=False), pytest.raises(BadRequest) as refused:
        sessions.open(ACME, {})
    assert refused.value.http == 429


def test_the_gateway_holds_only_so_many() -> None:
    """Whoever asks."""
    sessions, _ = sessions_with(total=1)
    sessions.open(ACME, {})
    with pytest.raises(BadRequest) as refused:
        sessions.open(OTHER, {})
    assert refused.value.http == 503


def test_unused_sessions_expire() -> None:
    """Those with something under way do not."""
    sessions, ended = sessions_with(idle_s=-1)
    busy = sessions.open(ACME, {})
    sessions._sessions[busy].requests[1] = None
    idle = sessions.open(OTHER, {})
    with pytest.raises(BadRequest):
        sessions.find(idle, OTHER)
    assert sessions.find(busy, ACME)
    assert len(ended) == 1


def test_ending_an_unknown_session_changes_nothing() -> None:
    """It may have expired a moment ago."""
    sessions, ended = sessions_with()
    sessions.end("x")
    assert ended == []


def test_servers_let_go_after_the_last_request() -> None:
    """A call in flight still needs what they keep for it."""
    sessions, ended = sessions_with()
    session_id = sessions.open(ACME, {})
    session = sessions.find(session_id, ACME)
    sessions.settle(session)
    with session.request(1, cap=1):
        sessions.end(session_id)
        assert ended == []
    sessions.settle(session)
    assert ended == [session.key]


def test_only_so_many_requests_wait_in_one_session() -> None:
    """A client cannot pile them up without end, nor use an id twice at once."""
    session = McpSession(ACME, time.monotonic())
    with session.request(1, cap=1), pytest.raises(BadRequest) as full, session.request(2, cap=1):
        pass
    with session.request(1, cap=2), pytest.raises(BadRequest) as twice, session.request(1, cap=2):
        pass
    assert (full.value.http, twice.value.code, session.requests) == (429, "id-in-use", {})


async def test_a_stream_that_resumes_takes_the_place_of_the_broken_one() -> None:
    """Another one does not."""
    session = McpSession(ACME, time.monotonic())
    with session.stream(resumes=False) as broken:
        with pytest.raises(BadRequest), session.stream(resumes=False):
            pass
        assert not broken.is_set()
        with session.stream(resumes=True) as own:
            assert (broken.is_set(), own.is_set()) == (True, False)
            await asyncio.sleep(0)
        assert session.streaming is None
