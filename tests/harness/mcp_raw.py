"""MCP requests to the real process exactly as a test writes them, in any revision."""

import json
from collections.abc import Mapping
from typing import Any

from tests.harness.doors import META, STATEFUL, STATELESS, stateless_headers
from tests.harness.gateway import Gateway
from tests.harness.mcp import INITIALIZE

ERAS = ("2025", "2026")


def request(method: str, params: Mapping[str, Any], request_id: Any = 1) -> dict[str, Any]:
    """Return a JSON-RPC request."""
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": dict(params)}


async def session_of(
    gateway: Gateway,
    path: str = "/mcp/rec",
    token: str = "",
    headers: Mapping[str, str] | None = None,
    version: str = STATEFUL,
) -> dict[str, str]:
    """Shake hands; return the headers of the session's requests."""
    sent = {"Authorization": f"Bearer {token or gateway.world.agent_token}"} | dict(headers or {})
    body = INITIALIZE | {"params": INITIALIZE["params"] | {"protocolVersion": version}}
    async with gateway.http.post(gateway.agents + path, json=body, headers=sent) as answer:
        assert answer.status == 200, await answer.text()
        session_id = answer.headers["Mcp-Session-Id"]
    return {"Mcp-Session-Id": session_id, "MCP-Protocol-Version": version}


async def speak(
    gateway: Gateway,
    era: str,
    method: str,
    params: Mapping[str, Any],
    *,
    path: str = "/mcp/rec",
    token: str = "",
) -> tuple[int, Any]:
    """Send a well-formed request of an era; return status and answer."""
    if era == "2025":
        headers = await session_of(gateway, path, token)
        body = request(method, params)
    else:
        named = params.get("name", params.get("uri", params.get("taskId", "")))
        headers = {name: value for name, value in stateless_headers(method, named).items() if value}
        body = request(method, {"_meta": META} | dict(params))
    return await gateway.ask("POST", path, body, headers=headers, token=token)


def code_of(answer: Any) -> int:
    """Return the code of a JSON-RPC error, 0 when it is none."""
    code: int = (answer or {}).get("error", {}).get("code", 0)
    return code


def text_of(answer: Any) -> Any:
    """Return the JSON of an HTTP tool's answer, as a CallToolResult carries it."""
    return json.loads(answer["result"]["content"][0]["text"])


__all__ = [
    "ERAS",
    "META",
    "STATEFUL",
    "STATELESS",
    "code_of",
    "request",
    "session_of",
    "speak",
    "stateless_headers",
    "text_of",
]
