"""A gateway in front of a small REST service, spoken to below `/http/rec` with any bytes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.gateway import Gateway
from tests.harness.raw import Heard, request, say
from tests.harness.recorder import Received, Recorder
from tests.harness.world import World, http_tool

TEXT = {"type": "string"}
NUMBER = {"type": "integer"}
CLOSED = {"type": "object", "additionalProperties": False}
NOTE = {
    "required": ["user", "id"],
    "properties": {"user": TEXT, "id": NUMBER, "id_body": TEXT, "text": TEXT, "If-Match": TEXT},
}
REST_TOOLS: dict[str, Any] = {
    "search": http_tool(
        "GET",
        "/search",
        "read",
        query=["q", "n", "tags"],
        input_schema=CLOSED
        | {"properties": {"q": TEXT, "n": NUMBER, "tags": {"type": "array", "items": TEXT}}},
    ),
    "read_note": http_tool(
        "GET",
        "/users/{user}/notes/{id}",
        "read",
        input_schema=CLOSED
        | {"required": ["user", "id"], "properties": {"user": TEXT, "id": NUMBER}},
    ),
    "read_profile": http_tool(
        "GET",
        "/users/{user}",
        "read",
        input_schema=CLOSED | {"required": ["user"], "properties": {"user": TEXT}},
    ),
    "write_note": http_tool(
        "PUT",
        "/users/{user}/notes/{id}",
        "write",
        body=["id_body", "text"],
        headers=["If-Match"],
        names={"id_body": "id"},
        input_schema=CLOSED | NOTE,
    ),
    "admin": http_tool("GET", "/admin", "read"),
}
MAY = {"tools": ["rec/read_*", "rec/search", "rec/write_note"]}
SENT = frozenset(
    {"host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"}
)


@dataclass
class Rest:
    """The gateway and the service. The agent may do everything but ask for `/admin`."""

    gateway: Gateway
    recorder: Recorder

    async def ask(
        self, target: bytes, *fields: bytes, method: bytes = b"GET", body: bytes = b"", **more: Any
    ) -> Heard:
        """Send a request with these bytes as its target below `/http/rec`, or with this `line`."""
        line = more.pop("line", b"%b /http/rec%b HTTP/1.1" % (method, target))
        without = [*more.pop("without", []), *([] if body else [b"content-type"])]
        token = more.pop("token", self.gateway.world.agent_token)
        raw = request(
            self.gateway.agents, token, *fields, b"Connection: close", line=line, body=body,
            without=without,
        )  # fmt: skip
        return await say(self.gateway.agents, raw, **more)

    async def put(self, *fields: bytes, body: bytes = b'{"text":"t"}', **more: Any) -> Heard:
        """Write note 7 of bob."""
        return await self.ask(b"/users/bob/notes/7", *fields, method=b"PUT", body=body, **more)

    @property
    def received(self) -> Received:
        """The only request the service has received."""
        (only,) = self.recorder.received
        return only

    @property
    def names(self) -> set[str]:
        """The headers of that request, in lower case."""
        return {name.lower() for name in self.received.headers}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rest]:
    """A gateway for the whole file; its tests run in the file's own event loop."""
    recorder = await Recorder().start()
    world = World(tmp_path_factory.mktemp("rest"), recorder.url)
    world.tools, world.roles = {"rec": REST_TOOLS}, {"tester": MAY}
    try:
        async with Gateway(world) as gateway:
            yield Rest(gateway, recorder)
    finally:
        await recorder.stop()


@pytest.fixture
def rest(rest_gateway: Rest) -> Rest:
    """The file's gateway, before a service that has received nothing."""
    rest_gateway.recorder.received.clear()
    rest_gateway.recorder.reply = None
    return rest_gateway
