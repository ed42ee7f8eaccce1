"""Which headers a credential and an argument may set."""

import pytest

from proxy.model.http_headers import frames_request, is_plain_value, takes_argument

FRAMING = ["Host", "content-length", "Transfer-Encoding", "MCP-Session-Id", "X-Forwarded-For"]
PRETENDING = [
    "Authorization",
    "X-Upstream-Authorization",
    "Cookie",
    "X-HTTP-Method-Override",
    "X-Original-URL",
    "X-Real-IP",
    "Detent-Dry-Run",
    "X-Detent-Sub",
    "Sec-Fetch-Site",
    "Content-Location",
]


@pytest.mark.parametrize("name", FRAMING)
def test_what_frames_a_request_is_nobodys(name: str) -> None:
    """Neither a credential's nor an argument's."""
    assert frames_request(name)
    assert not takes_argument(name)


@pytest.mark.parametrize("name", PRETENDING)
def test_an_argument_cannot_pretend(name: str) -> None:
    """To be another client, another method or another path; a credential may."""
    assert not takes_argument(name)
    assert not frames_request(name)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "X_Real_Ip", "é", "a\r\nb", "x" * 65])
def test_what_is_no_plain_name_takes_nothing(name: str) -> None:
    """RFC 9110 section 5.1, without underscores."""
    assert not takes_argument(name)


@pytest.mark.parametrize("name", ["If-Match", "X-Request-Context", "Prefer", "X-CSRF-Token"])
def test_other_names_take_arguments(name: str) -> None:
    """If a manifest places one there."""
    assert takes_argument(name)


@pytest.mark.parametrize(
    ("text", "plain"),
    [("a", True), ("a b", True), ('"tag"', True), ("", False), (" a", False), ("a ", False),
     ("a\tb", False), ("a\r\nb: c", False), ("a\0", False), ("é", False)],
)  # fmt: skip
def test_a_value_is_visible_ascii(text: str, plain: bool) -> None:
    """With spaces inside only."""
    assert is_plain_value(text) == plain
