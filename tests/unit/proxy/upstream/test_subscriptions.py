"""Who wants to hear of which resource."""

import json

import pytest

from proxy.model.mcp import Notification
from proxy.upstream.jsonrpc import parse
from proxy.upstream.subscriptions import MAX_URI_CHARS, MAX_URIS, UPDATED, Subscriptions, spread


class Heard:
    """Watchers that keep what they are told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def tell(self, session: str, notification: Notification) -> bool:
        self.told.append(session)
        return True

    def tell_all(self, notification: Notification) -> None:
        self.told.append("all")


def test_each_session_has_its_own() -> None:
    """What all of them want is their union."""
    wanted = Subscriptions()
    for session, uri in [("one", "a://1"), ("two", "a://1"), ("two", "a://2")]:
        assert wanted.add(session, uri)
    assert wanted.uris() == {"a://1", "a://2"}
    assert sorted(wanted.sessions_for("a://1")) == ["one", "two"]
    assert list(wanted.sessions_for("a://2")) == ["two"]


def test_what_somebody_else_wants_is_kept() -> None:
    """A session that leaves gives back only what nobody else wants."""
    wanted = Subscriptions()
    for session, uri in [("one", "a://1"), ("two", "a://1"), ("two", "a://2")]:
        wanted.add(session, uri)
    assert wanted.forget("two") == ("a://2",)
    assert wanted.remove("one", "a://1")
    assert not wanted.uris()
    assert wanted.forget("nobody") == ()


def test_a_removal_tells_whether_anybody_is_left() -> None:
    """Also for what was never wanted."""
    wanted = Subscriptions()
    wanted.add("one", "a://1")
    wanted.add("two", "a://1")
    assert (wanted.remove("one", "a://1"), wanted.remove("two", "a://1")) == (False, True)
    assert wanted.remove("two", "a://9")
    wanted.add("one", "a://2")
    wanted.add("one", "a://3")
    assert wanted.remove("one", "a://2")
    assert wanted.uris() == {"a://3"}


@pytest.mark.parametrize(
    ("uri", "updated", "told"),
    [
        ("file:///a", "file:///a", True),
        ("file:///a", "file:///a/b/c", True),
        ("file:///a/", "file:///a/b", True),
        ("file:///a", "file:///ab", False),
        ("file:///a/b", "file:///a", False),
    ],
)
def test_a_part_of_a_resource_is_that_resource(uri: str, updated: str, told: bool) -> None:
    """Servers may tell of a part of what was subscribed to."""
    wanted = Subscriptions()
    wanted.add("one", uri)
    assert list(wanted.sessions_for(updated)) == (["one"] if told else [])


def test_a_session_may_want_only_so_much() -> None:
    """And nothing whose name is without end."""
    wanted = Subscriptions()
    assert not wanted.add("one", "a" * (MAX_URI_CHARS + 1))
    assert all(wanted.add("one", f"a://{number}") for number in range(MAX_URIS))
    assert not wanted.add("one", "a://more")
    assert wanted.add("one", "a://0")
    assert wanted.add("two", "a://more")


@pytest.mark.parametrize(
    ("method", "params", "told"),
    [
        (UPDATED, {"uri": "a://1"}, ["one"]),
        (UPDATED, {"uri": "a://2"}, []),
        (UPDATED, {"uri": 1}, []),
        (UPDATED, {}, []),
        ("notifications/prompts/list_changed", {}, ["all"]),
        ("notifications/message", {"data": "x"}, []),
    ],
)
def test_what_is_said_to_all_is_passed_on(
    method: str, params: dict[str, object], told: list[str]
) -> None:
    """An update to whom it concerns, a changed list to everybody, anything else to nobody (I20)."""
    wanted, heard = Subscriptions(), Heard()
    wanted.add("one", "a://1")
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    spread(parse(json.dumps(message).encode()), heard, wanted)  # type: ignore[arg-type]
    assert heard.told == told
