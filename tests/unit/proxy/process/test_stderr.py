"""What a child writes to stderr becomes bounded, printable log lines."""

import asyncio
import logging
import time
from collections.abc import Callable

import pytest

from proxy.process.stderr import MAX_LINE_CHARS, MAX_LINES_PER_S, StderrLog


async def logged(
    caplog: pytest.LogCaptureFixture, *chunks: bytes, now: Callable[[], float] = time.monotonic
) -> list[str]:
    """Return the messages that these chunks of stderr leave in the log."""
    caplog.set_level(logging.INFO)
    reader = asyncio.StreamReader()
    for chunk in chunks:
        reader.feed_data(chunk)
    reader.feed_eof()
    await StderrLog("srv", now).follow(reader)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("chunks", "messages"),
    [
        ((b"one\ntwo\n",), ["srv: one", "srv: two"]),
        ((b"on", b"e\nlast"), ["srv: one", "srv: last"]),
        ((b"\x1b[31mred\r\n",), ["srv: \\x1b[31mred\\r"]),
        ((b"bad \xff byte\n",), ["srv: bad \\xff byte"]),
        (("line\u2028break\n".encode(),), ["srv: line\\u2028break"]),
        ((), []),
    ],
)
async def test_lines_are_logged(
    caplog: pytest.LogCaptureFixture, chunks: tuple[bytes, ...], messages: list[str]
) -> None:
    """One line of stderr is one line of log, whatever bytes it holds."""
    assert await logged(caplog, *chunks) == messages


async def test_a_line_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """A line without end is cut, and memory does not grow with it."""
    messages = await logged(caplog, b"x" * 50_000 + b"\n")
    assert max(len(message) for message in messages) == len("srv: ") + MAX_LINE_CHARS


async def test_a_flood_is_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Lines beyond the rate are dropped; the next second tells how many."""
    seconds = iter([7.0] * (MAX_LINES_PER_S + 5) + [8.0])
    flood = b"flood\n" * (MAX_LINES_PER_S + 5) + b"calm\n"
    messages = await logged(caplog, flood, now=lambda: next(seconds))
    assert messages[MAX_LINES_PER_S:] == ["srv: 5 lines of stderr dropped", "srv: calm"]
