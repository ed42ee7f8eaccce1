"""A11 on the real process: bodies that say they are something else, as a form of a page can."""

import pytest

from tests.harness.raw import CALL
from tests.harness.standing import PORTS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPES = [
    b"text/plain",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=x",
    b"application/json; charset=utf-16",
    b"application/json; charset=utf-7",
    b"application/json; charset=utf-8; charset=utf-16",
    b'application/json; charset="utf-8" ; x=y',
    b"application/json, text/plain",
    b"text/plain; application/json",
    b"application/jsonp",
    b"application/json+xml",
    b"application/x-ndjson",
    b"*/*",
    b"json",
    b"",
]
LINES = {
    "agents": [b"POST /v1/calls", b"POST /mcp", b"POST /v1/sessions", b"POST /http/rec/write"],
    "operators": [b"POST /killswitch"],
}


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("kind", [*TYPES, None], ids=repr)
async def test_only_json_is_taken(standing: Standing, port: str, kind: bytes | None) -> None:
    """415, whatever the body is; without a type as well."""
    fields = () if kind is None else (b"Content-Type: " + kind,)
    for line in LINES[port]:
        heard = await standing.attack(
            port, *fields, line=line + b" HTTP/1.1", body=CALL, without=[b"content-type"]
        )
        assert (heard.status, heard.code, heard.closed) == (415, "unsupported-media-type", True)
    assert await standing.nothing_happened()
