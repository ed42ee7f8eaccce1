"""Requests of the stateless era to an application in this process."""

from typing import Any

from starlette.types import ASGIApp

from tests.harness.asgi import Connection, connect
from tests.harness.doors import META, Reply, ask, rpc, stateless_headers

CAPABLE: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
TOOL = {"name": "rec__write", "arguments": {"n": 1}}
METHODS = frozenset(
    ("rec", method)
    for method in ("tools/call", "resources/read", "prompts/get", "completion/complete", "x/y")
)


def meta_with(capabilities: Any = None, **more: Any) -> dict[str, Any]:
    """Return the `_meta` of a client that declares this, or all."""
    key = "io.modelcontextprotocol/clientCapabilities"
    return META | {key: CAPABLE if capabilities is None else capabilities} | more


def headers_of(method: str, params: dict[str, Any]) -> dict[str, str]:
    """Return the headers that go with a request."""
    named = params.get("name", params.get("uri", "")) if method != "x/y" else ""
    return stateless_headers(method, named)


def request(
    app: ASGIApp, params: dict[str, Any], method: str = "tools/call", path: str = "/mcp"
) -> Connection:
    """Send a request and leave the connection open."""
    body = rpc(method, {"_meta": meta_with()} | params)
    return connect(app, "POST", path, body, headers_of(method, params))


async def post(
    app: ASGIApp,
    params: dict[str, Any],
    method: str = "tools/call",
    headers: dict[str, str] | None = None,
    path: str = "/mcp",
) -> Reply:
    """Send a request and return its answer."""
    body = rpc(method, {"_meta": meta_with()} | params)
    return await ask(app, "POST", path, body, headers_of(method, params) | (headers or {}))
