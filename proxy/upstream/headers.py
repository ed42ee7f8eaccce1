"""The headers a call may carry: ours, the lease's, and those of arguments."""

from collections.abc import Mapping

from proxy.errors import UpstreamFailed
from proxy.model.http_headers import frames_request, is_plain_value, takes_argument


def outgoing(
    ours: Mapping[str, str], lease: Mapping[str, str], arguments: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return our headers, the lease's, and those that arguments stand in.

    Raises UpstreamFailed when a lease names a header that frames or routes the request, when an
    argument cannot stand in its header, and when both want the same one.
    """
    for name in lease:
        if frames_request(name):
            raise UpstreamFailed(f"a credential may not set the header {name.lower()}")
    given = arguments or {}
    lent = {name.lower() for name in lease}
    for name, value in given.items():
        if not takes_argument(name) or name.lower() in lent:
            raise UpstreamFailed(f"an argument may not set the header {name.lower()}")
        if not is_plain_value(value):
            raise UpstreamFailed("an argument has characters that do not belong in a header")
    return {**ours, **given, **lease}
