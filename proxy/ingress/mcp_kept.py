"""The events that clients of a session can ask for again (MCP 2025-11-25, resumability)."""

import re
from collections import deque
from typing import NamedTuple

from proxy.ingress.streams import event, priming_event

MAX_KEPT_EVENTS = 256
MAX_KEPT_BYTES = 1_048_576
OWN = 0

_EVENT_ID = re.compile(r"([0-9]{1,9}-)?([0-9]{1,18})")


class Cursor(NamedTuple):
    """A place in one of the streams of a session; OWN is the stream that answers no request."""

    stream: int
    number: int

    def __str__(self) -> str:
        """Return the event's id: it names the stream of an answer."""
        return f"{self.stream}-{self.number}" if self.stream else str(self.number)


def cursor_of(event_id: str) -> Cursor | None:
    """Return the place that an id names, None for one that we never gave out."""
    found = _EVENT_ID.fullmatch(event_id)
    return found and Cursor(int((found[1] or "0-")[:-1]), int(found[2]))


class Kept:
    """The last events of a session's streams, so that a broken one can be resumed.

    All of them share the room there is, the oldest make way first. No number is used twice.
    """

    def __init__(self) -> None:
        self._last = 0
        self._bytes = 0
        self._events: deque[tuple[Cursor, bytes]] = deque()

    def keep(self, message: bytes, stream: int = OWN, *, whole: bool = False) -> bytes:
        """Return a message as the numbered event that goes out.

        `whole`: nobody has had it yet, so it stays however large it is.
        """
        self._last += 1
        at = Cursor(stream, self._last)
        shown = event(message, str(at))
        self._events.append((at, shown))
        self._bytes += len(shown)
        spared = 1 if whole else 0
        while len(self._events) > (MAX_KEPT_EVENTS if self._bytes <= MAX_KEPT_BYTES else spared):
            self._bytes -= len(self._events.popleft()[1])
        return shown

    def here(self, stream: int = OWN) -> Cursor:
        """Return the place in a stream after everything so far."""
        return Cursor(stream, self._last)

    def after(self, last: Cursor) -> list[tuple[Cursor, bytes]]:
        """Return what was sent in a stream after that event."""
        return [(at, shown) for at, shown in self._events if at.stream == last.stream and at > last]

    def since(self, last: Cursor | None) -> bytes:
        """Return how the session's own stream begins: what was missed, and where to resume."""
        missed = [] if last is None or last.stream else self.after(last)
        return b"".join(shown for _, shown in missed) + priming_event(str(self.here()))

    def forget(self, stream: int) -> None:
        """Let go of a stream that has ended."""
        self._events = deque(one for one in self._events if one[0].stream != stream)
        self._bytes = sum(len(shown) for _, shown in self._events)
