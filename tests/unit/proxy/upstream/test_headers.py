"""Which headers a lease may set."""

import pytest

from proxy.errors import UpstreamFailed
from proxy.upstream.headers import outgoing


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "Cookie", "DPoP"])
def test_credentials_go_out(name: str) -> None:
    """What a broker lends is put beside our own headers."""
    assert outgoing({"Accept": "a"}, {name: "b"}) == {"Accept": "a", name: "b"}


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Content-Type",
        "User-Agent",
        "Accept-Encoding",
        "Idempotency-Key",
        "Mcp-Session-Id",
        "MCP-Protocol-Version",
        "X-Forwarded-For",
        "Proxy-Authorization",
        "Forwarded",
    ],
)
def test_framing_and_routing_are_ours(name: str) -> None:
    """A lease that would change where a request goes or where it ends is refused."""
    with pytest.raises(UpstreamFailed, match=name.lower()):
        outgoing({}, {name: "x"})


def test_arguments_go_out_beside_them() -> None:
    """Under the names a manifest gives them."""
    made = outgoing({"Accept": "a"}, {"Authorization": "b"}, {"If-Match": '"v1"'})
    assert made == {"Accept": "a", "Authorization": "b", "If-Match": '"v1"'}


@pytest.mark.parametrize("name", ["Host", "Authorization", "X-Http-Method-Override", "X-Key"])
def test_an_argument_sets_nothing_that_is_not_its_own(name: str) -> None:
    """Neither framing, nor a credential, nor what the lease sets."""
    with pytest.raises(UpstreamFailed, match=name.lower()):
        outgoing({}, {"x-key": "lent"}, {name: "x"})


@pytest.mark.parametrize("value", ["", "a\r\nHost: evil", "a\0", "é", " a"])
def test_an_argument_that_is_no_header_value_is_refused(value: str) -> None:
    """Nothing is sent."""
    with pytest.raises(UpstreamFailed, match="do not belong in a header"):
        outgoing({}, {}, {"If-Match": value})
