"""A21: a Connection header that names our own headers, so that the next hop drops them."""

import pytest

from tests.harness.rest import SENT, Rest

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTS = [
    b"Connection: authorization, detent-dry-run, if-match, idempotency-key, content-type",
    b"Connection: close, host, content-length",
    b"Connection: keep-alive, x-detent-session, if-match",
]


@pytest.mark.parametrize("fields", LISTS)
async def test_no_header_of_ours_can_be_taken_away(rest: Rest, fields: bytes) -> None:
    """A dry run stays one, whatever is listed: the service receives nothing."""
    heard = await rest.put(fields, b"Detent-Dry-Run: true")
    assert (heard.status, heard.code) == (409, "dry-run")
    assert rest.recorder.received == []


@pytest.mark.parametrize("fields", LISTS)
async def test_what_goes_out_is_what_the_manifest_names(rest: Rest, fields: bytes) -> None:
    """An argument in a header arrives, and no hop-by-hop header does."""
    heard = await rest.put(
        fields, b'If-Match: "v1"', b"TE: trailers", b"Upgrade: h2c", b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
    )  # fmt: skip
    assert heard.status == 200
    assert rest.names == SENT | {"if-match"}
    assert rest.received.headers["If-Match"] == '"v1"'


async def test_a_token_that_is_listed_is_still_asked_for(rest: Rest) -> None:
    """And one that is not sent is missed."""
    heard = await rest.put(b"Connection: authorization", without=[b"authorization"])
    assert (heard.status, rest.recorder.received) == (401, [])
