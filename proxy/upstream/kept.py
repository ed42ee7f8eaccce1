"""What a stateless server has no methods for, kept for clients that know them (MCP 2025-11-25).

A subscription becomes part of the gateway's own `subscriptions/listen`. The level of log messages
goes with each call: the door knows it and the conversation has it.
"""

from collections.abc import Awaitable, Callable

from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.jsonrpc import error_object, loads
from proxy.upstream.subscriptions import Subscriptions

SUBSCRIBE = "resources/subscribe"
UNSUBSCRIBE = "resources/unsubscribe"
SET_LEVEL = "logging/setLevel"

DONE = UpstreamResult(b"{}")
TOO_MANY = UpstreamResult(
    error_object(-32602, "Too many subscriptions"), is_error=True, is_rpc_error=True
)


def uri_of(call: UpstreamCall) -> str:
    """Return the resource a call names, "" when it names none."""
    given = loads(call.arguments)
    uri = given.get("uri") if isinstance(given, dict) else None
    return uri if isinstance(uri, str) else ""


class Kept:
    """Answers these methods. `renew` makes the server know of changed subscriptions."""

    def __init__(self, wanted: Subscriptions, renew: Callable[[], Awaitable[None]]) -> None:
        self._wanted = wanted
        self._renew = renew

    async def __call__(
        self, call: UpstreamCall, sending: Callable[[], None]
    ) -> UpstreamResult | None:
        """Return the answer to a method that is kept here, None for any other."""
        if call.method not in {SUBSCRIBE, UNSUBSCRIBE, SET_LEVEL}:
            return None
        sending()
        if call.method == SET_LEVEL:
            return DONE
        session = call.conversation.session
        if call.method == UNSUBSCRIBE:
            self._wanted.remove(session, uri_of(call))
        elif not self._wanted.add(session, uri_of(call)):
            return TOO_MANY
        await self._renew()
        return DONE
