"""Server-sent events, parsed as they come (WHATWG HTML, section 9.2.6)."""

import re

_LINE_END = re.compile(rb"\r\n|\n|\r(?!$)")
_BOM = b"\xef\xbb\xbf"


class EventParser:
    """Feed it bytes, get the data of each finished `message` event.

    Other event types, ids, retry times and comments are read over. The caller bounds how much it
    feeds.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._scanned = 0
        self._data: list[bytes] = []
        self._kind = b""
        self._begun = False

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
        self._data, self._kind = [], b""

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value
