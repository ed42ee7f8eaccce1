"""The remote engine's own side: what it sends. Its answers are the contract suite's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.pdp.base import DECISION_PATH, StagedBundle
from proxy.pdp.opa import RemoteOpa

STAGED = StagedBundle(Path("/policies"), "r1")
GOOD = {"provenance": {"bundles": {"b": {"revision": "r1"}}}, "result": 1}


class Server:
    """Records requests and answers them well, or as it is told."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answer: web.Response | None = None
        self.port = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.bodies.append(await request.read())
        return self.answer or web.json_response(GOOD)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Give a server on loopback."""
    server, app = Server(), web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


@pytest.fixture
async def engine(server: Server) -> AsyncIterator[RemoteOpa]:
    """Give a started engine."""
    engine = RemoteOpa("127.0.0.1", server.port, tls=False, token="t0ken")
    await engine.start(STAGED)
    yield engine
    await engine.stop()


async def test_the_body_goes_out_byte_for_byte(server: Server, engine: RemoteOpa) -> None:
    """Numbers and their form are policy input, not something to parse and write anew."""
    body = b'{"input":{"n":1e2, "a":1.0}}'
    await engine.query(DECISION_PATH, body, 5)
    assert server.bodies[-1] == body


async def test_a_query_is_one_post_with_token_and_parameters(
    server: Server, engine: RemoteOpa
) -> None:
    """Provenance and strict builtin errors are asked for; the token goes in its header."""
    await engine.query(DECISION_PATH, b"{}", 5)
    request = server.requests[-1]
    assert (request.method, request.path) == ("POST", "/v1/data/detent/main/decision")
    assert request.query == {"provenance": "true", "strict-builtin-errors": "true"}
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 307])
async def test_nothing_is_asked_twice(server: Server, engine: RemoteOpa, status: int) -> None:
    """The client's retries and redirects are off."""
    server.answer = web.json_response(GOOD, status=status, headers={"Location": "/elsewhere"})
    before = len(server.requests)
    with pytest.raises(PolicyUnavailable, match=f"status {status}"):
        await engine.query(DECISION_PATH, b"{}", 5)
    assert len(server.requests) == before + 1


async def test_another_revision_at_the_start_names_the_cure(server: Server) -> None:
    """Detent serves no policies it did not check."""
    engine = RemoteOpa("127.0.0.1", server.port, tls=False)
    with pytest.raises(PolicyInvalid, match="load this bundle into that OPA first"):
        await engine.start(StagedBundle(Path("/policies"), "r2"))


async def test_nobody_there_at_the_start_is_unavailable(server: Server) -> None:
    """The error holds no token."""
    engine = RemoteOpa("127.0.0.1", 1, tls=False, token="t0ken")
    with pytest.raises(PolicyUnavailable) as refusal:
        await engine.start(STAGED)
    assert "t0ken" not in str(refusal.value)


async def test_tls_is_not_given_up(server: Server) -> None:
    """A server that speaks no TLS is not asked in the clear."""
    engine = RemoteOpa("127.0.0.1", server.port, token="t0ken")
    with pytest.raises(PolicyUnavailable, match="OPA cannot be asked"):
        await engine.start(STAGED)
    assert server.requests == []
