"""Server-sent events, parsed as they come (WHATWG HTML, section 9.2.6)."""

import re

_LINE_END = re.compile(rb"\r\n|\n|\r(?!$)")
_ID = re.compile(rb"([\x21-\x7e]([\x20-\x7e]{0,1022}[\x21-\x7e])?)?")  # goes back as a header
_RETRY = re.compile(rb"[0-9]{1,9}")
_BOM = b"\xef\xbb\xbf"


class EventParser:
    """Feed it bytes, get the data of each finished `message` event.

    Other event types and comments are read over. `last_id` is the id a stream is picked up from,
    empty when there is none; `retry_s` how long the server wants to be left alone before that.
    The caller bounds how much it feeds, and how much may wait for its end: `waiting_bytes`.
    """

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.retry_s: float | None = None
        self._id = last_id
        self._data_bytes = 0
        self._rest = bytearray()
        self._scanned = 0
        self._data: list[bytes] = []
        self._kind = b""
        self._begun = False

    @property
    def waiting_bytes(self) -> int:
        """What was fed and is not a finished event yet."""
        return len(self._rest) + self._data_bytes

    def anew(self) -> "EventParser":
        """Return a parser for the connection that picks the stream up."""
        again = EventParser(self.last_id)
        again.retry_s = self.retry_s
        return again

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that this chunk finished."""
        self._rest += chunk
        events: list[bytes] = []
        start = 0
        # A lone CR at the very end may be half of a CRLF, so it waits for the next chunk.
        while found := _LINE_END.search(self._rest, max(start, self._scanned)):
            self._line(bytes(self._rest[start : found.start()]), events)
            start = found.end()
            self._scanned = 0
        del self._rest[:start]
        self._scanned = max(0, len(self._rest) - 1)
        return events

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if line:
            self._field(line)
            return
        if self._data and self._kind in {b"", b"message"}:
            events.append(b"\n".join(self._data))
        self._data, self._kind, self._data_bytes = [], b"", 0
        self.last_id = self._id

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
        elif name == b"event":
            self._kind = value
        elif name == b"id" and _ID.fullmatch(value):
            self._id = value.decode()
        elif name == b"retry" and _RETRY.fullmatch(value):
            self.retry_s = int(value) / 1000
