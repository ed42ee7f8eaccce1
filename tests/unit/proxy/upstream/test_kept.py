"""What is kept for clients before a server that has no methods for it."""

from collections.abc import Callable

import pytest

from proxy.errors import Refused
from proxy.model.mcp import Era
from proxy.model.tool import Effect, ToolManifest
from proxy.upstream.base import UpstreamCall
from proxy.upstream.kept import DONE, SET_LEVEL, SUBSCRIBE, TOO_MANY, UNSUBSCRIBE, Kept, uri_of
from proxy.upstream.subscriptions import MAX_URI_CHARS, Subscriptions
from tests.harness.client import Client


def call(method: str, arguments: bytes = b'{"uri":"a://b"}') -> UpstreamCall:
    manifest = ToolManifest("s", method, Effect.READ)
    client = Client(Era.HANDSHAKE, "one")
    return UpstreamCall(manifest, arguments, 1, method=method, conversation=client)


def nothing() -> None:
    """Nothing stands against it."""


def refuse() -> None:
    raise Refused.because("killed")


class Renewed:
    """Counts how often the server was told."""

    def __init__(self) -> None:
        self.wanted = Subscriptions()
        self.seen: list[frozenset[str]] = []
        self.kept = Kept(self.wanted, self.renew)

    async def renew(self) -> None:
        self.seen.append(self.wanted.uris())


async def test_a_subscription_is_kept_and_told() -> None:
    """Until it is taken back."""
    renewed = Renewed()
    assert await renewed.kept(call(SUBSCRIBE), nothing) == DONE
    assert await renewed.kept(call(UNSUBSCRIBE), nothing) == DONE
    assert renewed.seen == [frozenset({"a://b"}), frozenset()]


async def test_a_level_is_the_doors() -> None:
    """It goes with each call, so the server is not told."""
    renewed = Renewed()
    assert await renewed.kept(call(SET_LEVEL, b'{"level":"info"}'), nothing) == DONE
    assert renewed.seen == []


async def test_any_other_method_is_the_servers() -> None:
    """Nothing is asked about it here."""
    asked: list[int] = []
    sending: Callable[[], None] = lambda: asked.append(1)  # noqa: E731 as it is handed over
    assert await Renewed().kept(call("resources/read"), sending) is None
    assert asked == []


@pytest.mark.parametrize("method", [SUBSCRIBE, UNSUBSCRIBE, SET_LEVEL])
async def test_what_stands_against_a_call_stands_against_this(method: str) -> None:
    """A kill is looked for as for any other method."""
    renewed = Renewed()
    with pytest.raises(Refused):
        await renewed.kept(call(method), refuse)
    assert (renewed.seen, renewed.wanted.uris()) == ([], frozenset())


async def test_too_much_is_an_error_to_read() -> None:
    """The server hears nothing of it."""
    renewed = Renewed()
    long = b'{"uri":"%b"}' % (b"a" * (MAX_URI_CHARS + 1))
    assert await renewed.kept(call(SUBSCRIBE, long), nothing) == TOO_MANY
    assert renewed.seen == []


@pytest.mark.parametrize("arguments", [b"{}", b'{"uri":1}', b"[]"])
def test_a_call_that_names_no_resource(arguments: bytes) -> None:
    """Is about none."""
    assert uri_of(call(SUBSCRIBE, arguments)) == ""
