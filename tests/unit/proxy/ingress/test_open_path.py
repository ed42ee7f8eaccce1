"""Paths whose segments are data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import BadRequest
from proxy.ingress.open_path import MAX_PATH_BYTES, segments_of


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        (b"/http/a/b", ("http", "a", "b")),
        (b"/http/a/", ("http", "a", "")),
        (b"/http/my%20table/%C3%A9", ("http", "my table", "\u00e9")),
        (b"/a+b/c:d@e=f,g", ("a+b", "c:d@e=f,g")),
        (b"/100%25/x%3Fy%23z", ("100%", "x?y#z")),
        (b"/a%3Bx", ("a;x",)),
    ],
)
def test_segments_are_decoded_once(raw: bytes, segments: tuple[str, ...]) -> None:
    """Each for itself."""
    assert segments_of(raw) == segments


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"a",
        b"//a",
        b"/a//b",
        b"/a/../b",
        b"/a/%2e%2e/b",
        b"/a/%2E./b",
        b"/a/..%2fb",
        b"/a%2Fb",
        b"/a%5cb",
        b"/a\\b",
        b"/a%00",
        b"/a%0d%0ab",
        b"/a%7f",
        b"/%252e%252e",
        b"/a%252fb",
        b"/a;x=1",
        b"/..%3Bx",
        b"/a%",
        b"/a%2",
        b"/a%zz",
        b"/a b",
        b"/a?b",
        b"/a#b",
        b"/\xc3\xa9",
        b"/%ff",
        b"/%c0%ae",
        b"/%ed%a0%80",
        b"/%ef%bc%8e%ef%bc%8e",
        b"/a%ef%bc%8fb",
        b"/%e2%80%a8",
    ],
)
def test_what_two_readers_could_take_differently_is_refused(raw: bytes) -> None:
    """Dots, slashes, controls and escapes in every spelling; what is not UTF-8."""
    with pytest.raises(BadRequest) as refused:
        segments_of(raw)
    assert (refused.value.code, refused.value.http) == ("invalid-path", 400)


def test_a_long_path_is_refused() -> None:
    """By the bytes that were sent."""
    assert segments_of(b"/" + b"a" * (MAX_PATH_BYTES - 1)) == ("a" * (MAX_PATH_BYTES - 1),)
    with pytest.raises(BadRequest) as refused:
        segments_of(b"/" + b"a" * MAX_PATH_BYTES)
    assert (refused.value.code, refused.value.http) == ("path-too-long", 414)


@given(st.binary(max_size=40))
def test_no_bytes_make_structure(raw: bytes) -> None:
    """Whatever is taken has the segments its slashes make, and none of them holds one."""
    try:
        segments = segments_of(raw)
    except BadRequest:
        return
    assert len(segments) == raw.count(b"/")
    assert not any(set(segment) & set("/\\\0\r\n") for segment in segments)
    assert not any(segment in (".", "..") for segment in segments)
