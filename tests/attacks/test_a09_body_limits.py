"""A9: a body over the limit, by Content-Length, in chunks, or with a request hidden behind it."""

import json

import pytest

from proxy.ingress.guard import GuardSettings
from tests.harness.agents_port import AgentsPort, code_of
from tests.harness.doors import TOKEN

LIMIT = GuardSettings(frozenset()).max_body_bytes
SMUGGLED = b'{"server":"rec","tool":"smuggled","arguments":{}}'


def call_of_size(size: int) -> bytes:
    empty = json.dumps({"server": "rec", "tool": "write", "arguments": {"a": ""}})
    return empty.replace('""', '"' + "x" * (size - len(empty)) + '"').encode()


def request(port: AgentsPort, body: bytes, *fields: str) -> bytes:
    lines = [
        "POST /v1/calls HTTP/1.1",
        f"Host: 127.0.0.1:{port.port}",
        f"Authorization: Bearer {TOKEN}",
        "Content-Type: application/json",
        *fields,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(body: bytes, size: int) -> bytes:
    chunks = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413)])
async def test_the_limit_is_exact(agents_port: AgentsPort, size: int, status: int) -> None:
    """The last byte that is allowed passes whole; one more and nothing does."""
    got, _ = await agents_port.ask("POST", "/v1/calls", call_of_size(size))
    assert (got, len(agents_port.gate.calls)) == (status, int(status == 200))


@pytest.mark.parametrize(("size", "status"), [(LIMIT, b"200"), (LIMIT + 1, b"413")])
async def test_chunks_are_counted(agents_port: AgentsPort, size: int, status: bytes) -> None:
    """Without a Content-Length the same holds: never cut off and then allowed."""
    body = chunked(call_of_size(size), 60_000)
    fields = ("Transfer-Encoding: chunked", "Connection: close")
    answer = await agents_port.raw(request(agents_port, body, *fields))
    assert answer.split(b" ")[1] == status
    assert len(agents_port.gate.calls) == int(status == b"200")


async def test_what_follows_a_refused_body_is_not_a_request(agents_port: AgentsPort) -> None:
    """The connection is closed: no byte after the refusal is read as a request."""
    hidden = request(agents_port, SMUGGLED, f"Content-Length: {len(SMUGGLED)}")
    answer = await agents_port.raw(
        request(agents_port, hidden, f"Content-Length: {LIMIT + 1}", "Connection: keep-alive")
    )
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert agents_port.gate.calls == []


async def test_a_body_shorter_than_its_length_is_never_a_call(agents_port: AgentsPort) -> None:
    """A client that hangs up early has said nothing, even if what it said is JSON."""
    cut = request(agents_port, SMUGGLED, f"Content-Length: {len(SMUGGLED) + 1}")
    with pytest.raises(TimeoutError):
        await agents_port.raw(cut, wait_s=0.2)
    status, _ = await agents_port.ask("GET", "/healthz")
    assert (status, agents_port.gate.calls) == (200, [])


@pytest.mark.parametrize("path", ["/mcp", "/mcp/rec", "/v1/sessions"])
async def test_the_limit_holds_on_every_path(agents_port: AgentsPort, path: str) -> None:
    """Before any door is asked."""
    status, answer = await agents_port.ask("POST", path, b" " * (LIMIT + 1))
    assert (status, code_of(answer)) == (413, "body-too-large")
