"""The cache of tokens, and sessions that need no write."""

import sqlite3

import pytest

from proxy.stores.sqlite import SqliteStore, sessions
from tests.harness.ledger import NOW, session


async def test_a_token_is_read_once(store: SqliteStore) -> None:
    """The second lookup is the same object, from memory."""
    await store.open_session(session(), "a" * 64, 10)
    first = await store.session_by_token("a" * 64)
    assert first is not None
    assert await store.session_by_token("a" * 64) is first


async def test_guessed_tokens_fill_nothing(store: SqliteStore) -> None:
    """Only tokens that were issued are remembered."""
    for n in range(5):
        assert await store.session_by_token(str(n)) is None
    assert store._by_token == {}


async def test_the_cache_is_bounded(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that came first goes first, and is still found."""
    monkeypatch.setattr(sessions, "MAX_CACHED_TOKENS", 2)
    for n in range(3):
        await store.open_session(session(f"ses{n}"), str(n), 10)
        assert await store.session_by_token(str(n)) is not None
    assert list(store._by_token) == ["1", "2"]
    assert await store.session_by_token("0") is not None


async def test_ending_forgets_only_that_token(store: SqliteStore) -> None:
    """A session without a token ends as well."""
    await store.open_session(session("ses0", implicit=True), None, 10)
    for n in (1, 2):
        await store.open_session(session(f"ses{n}"), str(n), 10)
        await store.session_by_token(str(n))
    await store.end_session("ses0", NOW)
    await store.end_session("ses1", NOW)
    assert list(store._by_token) == ["2"]


async def test_an_implicit_session_that_is_open_costs_no_write(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on the path of every call without a session token."""
    first = await store.open_session(session(implicit=True), None, 10)
    monkeypatch.delattr(store._database, "_writer")
    assert await store.open_session(session("ses2", implicit=True), None, 10) == first
    monkeypatch.undo()


def test_an_implicit_session_opened_meanwhile_stands(connection: sqlite3.Connection) -> None:
    """Two first calls that both read nothing: the second writer finds the first one's."""
    first = session(implicit=True)
    assert sessions.store_session(connection, first, None, 0) == first
    assert sessions.store_session(connection, session("ses2", implicit=True), None, 0) == first
