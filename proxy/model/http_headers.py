"""Which headers a tool's request may carry besides our own.

Nothing that frames or routes a request can be lent or given: RFC 9110 sections 5.1, 7.6 and 7.8,
and the headers by which servers let a client pretend to be another one or to have asked for
something else.
"""

import re

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # RFC 9110 section 5.6.2
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_FRAMING = frozenset(
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
_FRAMING_PREFIXES = ("mcp-", "proxy-", "x-forwarded-")
_NOT_AN_ARGUMENT = frozenset(
    {
        "authorization",
        "cookie",
        "cookie2",
        "date",
        "max-forwards",
        "origin",
        "referer",
        "set-cookie",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-host",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-method",
        "x-original-url",
        "x-real-ip",
        "x-rewrite-url",
        "x-true-client-ip",
        "true-client-ip",
    }
)
_NOT_AN_ARGUMENT_PREFIXES = ("cf-", "content-", "detent-", "sec-", "x-detent-", "x-envoy-")
_NOT_AN_ARGUMENT_SUFFIXES = ("-authorization", "-cookie")


def frames_request(name: str) -> bool:
    """Whether a header frames or routes a request, so that no credential may set it."""
    lowered = name.lower()
    return lowered in _FRAMING or lowered.startswith(_FRAMING_PREFIXES)


def takes_argument(name: str) -> bool:
    """Whether a manifest may place an argument in the header of that name.

    Underscores are refused: some servers read `X_Real_Ip` as `X-Real-Ip`.
    """
    lowered = name.lower()
    return (
        _NAME.fullmatch(name) is not None
        and "_" not in name
        and not frames_request(name)
        and lowered not in _NOT_AN_ARGUMENT
        and not lowered.startswith(_NOT_AN_ARGUMENT_PREFIXES)
        and not lowered.endswith(_NOT_AN_ARGUMENT_SUFFIXES)
    )


def is_plain_value(text: str) -> bool:
    """Whether a text can be a header's value: visible ASCII and inner spaces, not empty."""
    return _VALUE.fullmatch(text) is not None
