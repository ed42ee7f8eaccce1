"""A11: a body that says it is something else, to be read differently or sent by a browser form."""

import pytest

from tests.harness.agents_port import AgentsPort
from tests.harness.doors import TOKEN

CALL = b'{"server":"rec","tool":"write","arguments":{}}'
REFUSED = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "application/json; charset=iso-8859-1",
    "application/json; charset=utf-8; charset=utf-16",
    "application/json, text/plain",
    "application/jsonp",
    "application/merge-patch+json",
    "*/*",
    "",
]


async def status_of(port: AgentsPort, path: str, *content_types: str) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port.port}",
        f"Authorization: Bearer {TOKEN}",
        f"Content-Length: {len(CALL)}",
        "Connection: close",
        *(f"Content-Type: {content_type}" for content_type in content_types if content_type),
    ]
    answer = await port.raw("\r\n".join([*lines, "", ""]).encode() + CALL)
    return answer.split(b" ")[1]


@pytest.mark.parametrize("path", ["/v1/calls", "/mcp", "/v1/sessions"])
@pytest.mark.parametrize("content_type", REFUSED)
async def test_only_json_is_taken(agents_port: AgentsPort, path: str, content_type: str) -> None:
    """415, and the pipeline receives nothing; a missing type is no type."""
    assert await status_of(agents_port, path, content_type) == b"415"
    assert (agents_port.gate.calls, agents_port.gate.opened) == ([], [])


async def test_two_types_are_refused(agents_port: AgentsPort) -> None:
    """Whichever one a reader takes."""
    assert await status_of(agents_port, "/v1/calls", "application/json", "text/plain") == b"400"
    assert agents_port.gate.calls == []


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=UTF-8"])
async def test_json_is_taken(agents_port: AgentsPort, content_type: str) -> None:
    """With or without its charset."""
    assert await status_of(agents_port, "/v1/calls", content_type) == b"200"
    assert len(agents_port.gate.calls) == 1
