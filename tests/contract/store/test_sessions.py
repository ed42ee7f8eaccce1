"""Sessions, locks and toggles."""

import asyncio
from dataclasses import replace

import pytest

from proxy.errors import Refused
from proxy.model.kill import GLOBAL, Scope, ScopeKind
from proxy.model.session import Mode, Session, SessionState
from proxy.stores.base import Store
from tests.harness.ledger import NOW, after, session

HASH = "a" * 64


async def test_a_session_is_found_by_its_token_and_by_its_id(store: Store) -> None:
    """What comes back equals what was stored, to the microsecond."""
    given = session(mode=Mode.READ_ONLY, purpose="é\n'\"")
    assert await store.open_session(given, HASH, 10) == given
    assert await store.session_by_token(HASH) == given
    assert await store.session_by_token(HASH) == given
    assert await store.session(given.id) == given


async def test_what_was_never_issued_is_not_found(store: Store, opened: Session) -> None:
    """Unknown tokens and ids are None."""
    assert await store.session_by_token("b" * 64) is None
    assert await store.session("ses2") is None


async def test_a_session_ends_once(store: Store, opened: Session) -> None:
    """An ended session is still found, as ended; ending it again changes nothing."""
    assert await store.session_by_token(HASH) == opened
    for at in (after(1), after(2)):
        await store.end_session(opened.id, at)
        ended = replace(opened, state=SessionState.ENDED)
        assert await store.session_by_token(HASH) == ended
        assert await store.session(opened.id) == ended


async def test_ending_a_session_nobody_has_changes_nothing(store: Store, opened: Session) -> None:
    """No error, and the others stay open."""
    await store.end_session("ses2", NOW)
    assert await store.session(opened.id) == opened


async def test_a_cancelled_end_leaves_no_open_session_behind(store: Store, opened: Session) -> None:
    """The session ends although its caller went away, for lookups by token too."""
    assert await store.session_by_token(HASH) == opened
    ending = asyncio.create_task(store.end_session(opened.id, NOW))
    await asyncio.sleep(0)
    ending.cancel()
    for _ in range(2):  # by the second, the end was queued before it
        await store.ping()
    found = await store.session_by_token(HASH)
    assert found is not None
    assert found.state is SessionState.ENDED


async def test_open_sessions_of_an_agent_are_capped(store: Store) -> None:
    """The cap counts open, unexpired sessions of that agent only."""
    await store.open_session(session("ses1"), None, 2)
    await store.open_session(session("ses2"), None, 2)
    with pytest.raises(Refused, match="too-many-sessions"):
        await store.open_session(session("ses3"), None, 2)
    await store.open_session(session("ses4", agent="other"), None, 2)
    await store.end_session("ses1", NOW)
    await store.open_session(session("ses3"), None, 2)


async def test_expired_sessions_do_not_count(store: Store) -> None:
    """A session past its expiry makes room and is listed as ended."""
    await store.open_session(session("ses1", expires_at=after(10)), None, 1)
    later = session("ses2", opened_at=after(10), expires_at=after(20))
    await store.open_session(later, None, 1)
    first = await store.session("ses1")
    assert first is not None
    assert first.state is SessionState.ENDED


async def test_an_agent_has_one_implicit_session(store: Store) -> None:
    """The first stands, beyond the cap of explicit ones; another agent has its own."""
    first = await store.open_session(session("imp1", implicit=True), None, 0)
    assert await store.open_session(session("imp2", implicit=True), None, 0) == first
    other = session("imp3", agent="other", implicit=True)
    assert await store.open_session(other, None, 0) == other


async def test_implicit_sessions_opened_at_once_are_one(store: Store) -> None:
    """Ten first calls of an agent share a session."""
    several = [session(f"imp{n}", implicit=True) for n in range(10)]
    got = await asyncio.gather(*(store.open_session(one, None, 0) for one in several))
    assert len({one.id for one in got}) == 1


@pytest.mark.parametrize("how", ["ended", "expired"])
async def test_an_implicit_session_is_followed_by_a_new_one(store: Store, how: str) -> None:
    """After its end or its expiry the next one opens."""
    await store.open_session(session("imp1", implicit=True, expires_at=after(10)), None, 0)
    if how == "ended":
        await store.end_session("imp1", after(5))
    fresh = session("imp2", implicit=True, opened_at=after(10), expires_at=after(20))
    assert await store.open_session(fresh, None, 0) == fresh


@pytest.mark.parametrize("implicit", [False, True])
async def test_a_locked_agent_opens_no_session(store: Store, implicit: bool) -> None:
    """Neither a new one nor the implicit one it has, until it is unlocked."""
    await store.open_session(session("ses1", implicit=implicit), None, 10)
    await store.lock_agent("acme", "loop", "canary", NOW)
    with pytest.raises(Refused, match="agent-locked"):
        await store.open_session(session("ses2", implicit=implicit), None, 10)
    await store.open_session(session("ses3", agent="other"), None, 10)
    assert await store.unlock_agent("acme", "loop")
    await store.open_session(session("ses4", implicit=implicit), None, 10)


async def test_unlocking_tells_whether_it_was_locked(store: Store) -> None:
    """True once, False after."""
    await store.lock_agent("acme", "loop", "canary", NOW)
    assert await store.unlock_agent("acme", "loop")
    assert not await store.unlock_agent("acme", "loop")


async def test_the_newest_sessions_come_first_open_ones_before_all(store: Store) -> None:
    """Ended sessions follow, newest first too; the limit cuts."""
    for n in range(4):
        await store.open_session(session(f"ses{n}", opened_at=after(n)), None, 10)
    await store.end_session("ses3", after(5))
    listed = [one.id for one in await store.sessions(3)]
    assert listed == ["ses2", "ses1", "ses0"]
    assert [one.id for one in await store.sessions(10)] == [*listed, "ses3"]


@pytest.mark.parametrize(
    ("tenants", "expected"),
    [
        (("acme",), ["ses3", "ses1"]),
        (("acme", "globex"), ["ses3", "ses2"]),
        (("*",), ["ses3", "ses2"]),
        (("ac*", "nobody"), []),
        ((), []),
    ],
)
async def test_sessions_are_listed_by_tenant(
    store: Store, tenants: tuple[str, ...], expected: list[str]
) -> None:
    """Rows of others do not use up the limit."""
    for n, tenant in enumerate(("globex", "acme", "globex", "acme")):
        await store.open_session(session(f"ses{n}", tenant=tenant, opened_at=after(n)), None, 10)
    assert [one.id for one in await store.sessions(2, tenants)] == expected


async def test_dry_run_toggles_are_listed_while_they_are_on(store: Store) -> None:
    """Turned on twice is on; off is off."""
    agent = Scope(ScopeKind.AGENT, "acme/loop")
    for scope in (GLOBAL, agent, agent):
        await store.set_dry_run(scope, on=True, actor="oncall", at=NOW)
    assert await store.dry_run_scopes() == (agent, GLOBAL)
    await store.set_dry_run(agent, on=False, actor="oncall", at=NOW)
    assert await store.dry_run_scopes() == (GLOBAL,)


async def test_dry_run_is_not_toggled_for_a_tool(store: Store) -> None:
    """A toggle nothing would honour is an error."""
    with pytest.raises(ValueError, match="Dry run"):
        await store.set_dry_run(Scope(ScopeKind.TOOL, "a/b"), on=True, actor="oncall", at=NOW)
