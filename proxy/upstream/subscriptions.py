"""Which session wants to hear of which resource, at servers that do not keep sessions apart."""

from collections.abc import Iterator

from proxy.model.mcp import Notification
from proxy.upstream.jsonrpc import Message
from proxy.upstream.watchers import Watchers

MAX_URIS = 1000
MAX_URI_CHARS = 8192
UPDATED = "notifications/resources/updated"


class Subscriptions:
    """The resources each session subscribed to."""

    def __init__(self) -> None:
        self._uris: dict[str, set[str]] = {}

    def add(self, session: str, uri: str) -> bool:
        """Note a subscription; return False when the session has too many."""
        uris = self._uris.get(session, set())
        if len(uri) > MAX_URI_CHARS or len(uris | {uri}) > MAX_URIS:
            return False
        self._uris[session] = uris | {uri}
        return True

    def remove(self, session: str, uri: str) -> bool:
        """Drop a subscription; return whether nobody else wants to hear of it."""
        rest = self._uris.pop(session, set()) - {uri}
        if rest:
            self._uris[session] = rest
        return uri not in self.uris()

    def forget(self, session: str) -> tuple[str, ...]:
        """Drop everything of one session; return the URIs that nobody else wants to hear of."""
        dropped = self._uris.pop(session, set())
        return tuple(sorted(dropped - self.uris()))

    def uris(self) -> frozenset[str]:
        """Return every URI somebody wants to hear of."""
        return frozenset().union(*self._uris.values())

    def sessions_for(self, updated: str) -> Iterator[str]:
        """Yield the sessions to tell of an update: of what they subscribed to, or of a part of it
        (MCP 2025-11-25, ResourceUpdatedNotification).
        """
        for session, uris in self._uris.items():
            if any(updated == uri or updated.startswith(uri.rstrip("/") + "/") for uri in uris):
                yield session


def spread(message: Message, watchers: Watchers, wanted: Subscriptions) -> None:
    """Pass on what a shared server says outside of calls: an update to whom it concerns, a changed
    list to everybody, anything else to nobody.
    """
    notification = Notification(message.method or "", message.raw)
    if notification.method == UPDATED:
        uri = message.param("uri")
        for session in wanted.sessions_for(uri) if isinstance(uri, str) else ():
            watchers.tell(session, notification)
    elif notification.method.endswith("/list_changed"):
        watchers.tell_all(notification)
