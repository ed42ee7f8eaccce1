"""Server-sent events, however they are cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.upstream.sse import EventParser

STREAM = (
    b"event: message\r\nid: 1\r\ndata: one\r\n\r\n: ping\r\n\r\ndata: two\r\ndata:three\r\n\r\n"
)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_all_line_ends_are_read(end: bytes) -> None:
    """LF, CRLF and CR."""
    parser = EventParser()
    events = parser.feed(STREAM.replace(b"\r\n", end))
    events += parser.feed(b": the next line\n")  # a CR at the end may be half of a CRLF
    assert events == [b"one", b"two\nthree"]


@settings(deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_where_the_stream_is_cut_does_not_matter(cuts: list[int]) -> None:
    """The events are the same however the bytes arrive."""
    parser = EventParser()
    places = [0, *sorted(cuts), len(STREAM)]
    events = [
        event for start, stop in pairwise(places) for event in parser.feed(STREAM[start:stop])
    ]
    assert events == [b"one", b"two\nthree"]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data\n\n", [b""]),
        (b"data:\n\n", [b""]),
        (b"data:  a\n\n", [b" a"]),
        (b"event: other\ndata: a\n\n", []),
        (b"event: other\n\ndata: a\n\n", [b"a"]),
        (b"retry: 5\nunknown: x\ndata: a:b\n\n", [b"a:b"]),
        (b"\n\n\n", []),
        (b"data: unfinished\n", []),
        (b"data: a\r\n\r\ndata: b\n\n", [b"a", b"b"]),
    ],
)
def test_streams(stream: bytes, events: list[bytes]) -> None:
    """Byte order mark, empty data, other types, fields without meaning."""
    assert EventParser().feed(stream) == events


def test_a_long_line_in_small_pieces_is_not_read_again_and_again() -> None:
    """Four megabytes in 4,000 pieces take no time worth the name."""
    parser = EventParser()
    parser.feed(b"data: ")
    for _ in range(4000):
        assert parser.feed(b"x" * 1000) == []
    assert parser._scanned > 3_999_000
    assert len(parser.feed(b"\n\n")[0]) == 4_000_000


@pytest.mark.parametrize(
    ("stream", "last_id", "retry_s"),
    [
        (b"id: 1\ndata: a\n\n", "1", None),
        (b"id: 1\ndata: a\n\nid\ndata: b\n\n", "", None),
        (b"id: 1\n\nid: 2\ndata: cut", "1", None),
        (b"id: a b\nretry: 250\ndata:\n\n", "a b", 0.25),
        (b"id: \x00\ndata: a\n\n", "0", None),
        (b"id: a\xff\ndata: a\n\n", "0", None),
        (b"retry: soon\nretry: -1\nretry: 9999999999\ndata: a\n\n", "0", None),
    ],
)
def test_where_a_stream_is_picked_up(stream: bytes, last_id: str, retry_s: float | None) -> None:
    """Behind the last whole event whose id can go back in a header."""
    parser = EventParser("0")
    parser.feed(stream)
    assert (parser.last_id, parser.retry_s) == (last_id, retry_s)


def test_a_parser_for_the_next_connection() -> None:
    """Knows where the one before was; half an event of that is gone."""
    parser = EventParser()
    parser.feed(b"id: 1\nretry: 5\ndata: a\n\ndata: half")
    again = parser.anew()
    assert (again.last_id, again.retry_s, again.waiting_bytes) == ("1", 0.005, 0)
    assert again.feed(b"data: b\n\n") == [b"b"]


def test_what_waits_for_its_end_is_counted() -> None:
    """Lines of an event that is not finished, and half a line."""
    parser = EventParser()
    parser.feed(b"data: abc\ndata: de")
    assert parser.waiting_bytes == 4 + 8
    parser.feed(b"\n\n")
    assert parser.waiting_bytes == 0
