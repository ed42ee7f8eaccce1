"""A41: names with slashes, dots and quotes that would change which document OPA is asked for."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from proxy.errors import PolicyUnavailable
from proxy.pdp.base import DECISION_PATH, VISIBLE_PATH
from proxy.pdp.find_opa import find_opa
from proxy.pdp.managed_opa import ManagedOpa
from proxy.pdp.opa import RemoteOpa

PATHS = [
    "detent/main/decision/../../system",
    "detent/main/decision%2f..%2f..",
    'detent/main/decision"]',
    "detent/main/decision?pretty",
    "detent/main/decision#",
    "detent/main/decision/",
    "detent/main",
    "../v1/policies",
    "system/authz/token_sha256",
    "",
]
NAMES = ["../../system/main", 'a"].b["', "a/b", "a%2f..", "x?pretty=true", "x#", "x\r\nHost: y"]


class Listener:
    """A port that writes down the first line of each request, and answers nothing useful."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.lines.append(head.split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    listener.port = server.sockets[0].getsockname()[1]
    yield listener
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("path", PATHS)
async def test_a41_no_other_document_can_be_asked_for(path: str) -> None:
    """The engines know two paths, whatever builds them."""
    engines = (ManagedOpa(find_opa().path), RemoteOpa("127.0.0.1", 1, tls=False))
    for engine in engines:
        with pytest.raises(PolicyUnavailable):
            await engine.query(path, b'{"input":{}}', 0.5)


@pytest.mark.parametrize("name", NAMES)
async def test_a41_names_stand_in_the_input_only(listener: Listener, name: str) -> None:
    """Tenant, agent, server and tool of any shape: the request line is the same."""
    engine = RemoteOpa("127.0.0.1", listener.port, tls=False)
    await engine._client.open()
    question = {"subject": {"tenant": name, "id": name}, "resource": {"id": f"{name}/{name}"}}
    for path in (DECISION_PATH, VISIBLE_PATH):
        with pytest.raises(PolicyUnavailable):
            await engine.query(path, json.dumps({"input": question}).encode(), 2)
    await engine.stop()
    parameters = "provenance=true&strict-builtin-errors=true"
    assert listener.lines == [
        f"POST /v1/data/{path}?{parameters} HTTP/1.1" for path in (DECISION_PATH, VISIBLE_PATH)
    ]
