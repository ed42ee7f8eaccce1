"""Sessions of the handshake era with an application in this process."""

import json
from typing import Any

from starlette.types import ASGIApp

from tests.harness.asgi import Connection, connect
from tests.harness.doors import STATEFUL, Reply, ask, rpc

CAPABLE: dict[str, Any] = {"elicitation": {}, "sampling": {}}
INITIALIZE = rpc("initialize", {"protocolVersion": STATEFUL, "capabilities": CAPABLE})
CALL = {"name": "rec__write", "arguments": {}}


async def post(app: ASGIApp, body: bytes, session_id: str = "", **headers: str) -> Reply:
    """Post a message in a session and return its answer."""
    fields = {"mcp-session-id": session_id} | headers
    return await ask(app, "POST", "/mcp", body, fields)


def open_post(app: ASGIApp, body: bytes, session_id: str) -> Connection:
    """Post a message in a session and leave the connection open."""
    return connect(app, "POST", "/mcp", body, {"mcp-session-id": session_id})


async def initialized(app: ASGIApp) -> str:
    """Shake hands and return the id of the session."""
    return (await post(app, INITIALIZE)).headers["mcp-session-id"]


def notification(method: str, **params: Any) -> bytes:
    """Return a notification."""
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()


def response(request_id: Any, **outcome: Any) -> bytes:
    """Return a response with a result or an error."""
    return json.dumps({"jsonrpc": "2.0", "id": request_id, **outcome}).encode()
