"""The headers a call may carry: ours and the lease's, nothing of the agent's request."""

from collections.abc import Mapping

from proxy.errors import UpstreamFailed

_RESERVED = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "forwarded",
        "host",
        "idempotency-key",
        "keep-alive",
        "last-event-id",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "via",
    }
)
_RESERVED_PREFIXES = ("mcp-", "proxy-", "x-forwarded-")


def outgoing(ours: Mapping[str, str], lease: Mapping[str, str]) -> dict[str, str]:
    """Return our headers and the lease's. Raises UpstreamFailed when a lease names a header that
    frames or routes the request.
    """
    for name in lease:
        lowered = name.lower()
        if lowered in _RESERVED or lowered.startswith(_RESERVED_PREFIXES):
            raise UpstreamFailed(f"a credential may not set the header {lowered}")
    return {**ours, **lease}
