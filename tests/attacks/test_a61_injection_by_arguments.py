"""A61: an argument that writes a header, a line or a parameter of its own into the request."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness.rest import SENT, Rest

pytestmark = pytest.mark.asyncio(loop_scope="module")

BREAKS = ["a\r\nHost: evil", "a\nX: y", "a\rX: y", "a\0b", "\n", "a\r\n\r\nGET /admin HTTP/1.1"]
SMUGGLED = [
    ("a&n=1", "a%26n%3D1"),
    ("a;n=1", "a%3Bn%3D1"),
    ("a#b", "a%23b"),
    ("a b+c", "a%20b%2Bc"),
    ("%0d%0a", "%250d%250a"),
    ("?n=1", "%3Fn%3D1"),
    ("\u560d", "%E5%98%8D"),
]


@pytest.mark.parametrize("value", BREAKS)
async def test_line_ends_in_a_query_send_no_byte(rest: Rest, value: str) -> None:
    """At this door they are no query, at the other one the call fails before anything leaves."""
    heard = await rest.ask(b"/search?q=" + quote(value).encode())
    assert (heard.status, heard.code) in [(400, "invalid-query"), (400, "nul-character")]
    status, _ = await rest.gateway.call("search", {"q": value})
    assert status in (400, 502)
    assert rest.recorder.received == []


@pytest.mark.parametrize(("value", "sent"), SMUGGLED)
async def test_a_query_is_built_by_an_encoder(rest: Rest, value: str, sent: str) -> None:
    """One parameter in, one parameter out, whichever door."""
    assert (await rest.ask(b"/search?q=" + quote(value, safe="").encode())).status == 200
    assert (await rest.gateway.call("search", {"q": value}))[0] == 200
    assert {one.path for one in rest.recorder.received} == {f"/search?q={sent}"}


@pytest.mark.parametrize("value", [*BREAKS, "", " a", "a\t", "\u00e9", "\u010d\u010a"])
async def test_an_argument_cannot_write_a_header(rest: Rest, value: str) -> None:
    """A call by name with such a value fails before anything leaves."""
    arguments: Any = {"user": "bob", "id": 7, "If-Match": value}
    status, _ = await rest.gateway.call("write_note", arguments)
    assert status in (400, 502)
    assert rest.recorder.received == []


@pytest.mark.parametrize(
    "field",
    [
        b"If-Match: a\r\n X: folded",
        b"If-Match: a\nX: y",
        b"If-Match: a\rX: y",
        b"If-Match: a\x00b",
        b"If-Match: \xc3\xa9",
        b"If-Match: a\tb",
        b"If-Match: ",
    ],
)
async def test_a_header_that_is_none_is_no_argument(rest: Rest, field: bytes) -> None:
    """Folded, split, with controls or nothing: 400, and nothing is sent."""
    heard = await rest.put(field)
    assert heard.statuses[0] == 400
    assert rest.recorder.received == []


async def test_a_header_twice_is_no_argument(rest: Rest) -> None:
    """Neither the first nor the last is taken."""
    heard = await rest.put(b"If-Match: a", b"if-match: b")
    assert (heard.status, heard.code) == (400, "duplicate-header")
    assert rest.recorder.received == []


@pytest.mark.parametrize("value", BREAKS)
async def test_line_ends_in_a_body_stay_text(rest: Rest, value: str) -> None:
    """JSON escapes them; a NUL is refused."""
    heard = await rest.put(body=json.dumps({"text": value}).encode())
    if "\0" in value:
        assert (heard.status, rest.recorder.received) == (400, [])
        return
    assert json.loads(rest.received.body) == {"text": value}
    assert rest.names == SENT


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (b"q=a&q=b", "duplicate-parameter"),
        (b"q=a&Q=b", "unknown-parameter"),
        (b"q=a;n=1", "invalid-query"),
        (b"q=a&&n=1", "invalid-query"),
        (b"q=a&user=bob", "unknown-parameter"),
        (b"q=a&access_token=x", "unknown-parameter"),
        (b"n=1&n=2", "duplicate-parameter"),
        (b"n=1e3", "argument-spelling"),
        (b"n=%2b1", "argument-spelling"),
        (b"n=0x10", "argument-spelling"),
    ],
)
async def test_a_query_with_two_readings_is_refused(rest: Rest, query: bytes, code: str) -> None:
    """The first, the last, both: nobody has to know."""
    heard = await rest.ask(b"/search?" + query)
    assert (heard.status, heard.code, rest.recorder.received) == (400, code, [])
