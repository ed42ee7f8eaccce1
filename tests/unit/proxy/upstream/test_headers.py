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
