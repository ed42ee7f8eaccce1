"""Ask a gateway over MCP (2026-07-28), one request at a time: the list of tools, and one call."""

from typing import Any

from tests.harness.doors import META, STATELESS
from tests.harness.gateway import Gateway


async def listed(gateway: Gateway, server: str = "", *, token: str = "") -> list[str]:
    """Return the names of the tools an agent sees, of one server or of all."""
    answer = await asked(gateway, server, "tools/list", {}, token=token)
    return [tool["name"] for tool in answer["result"]["tools"]]


async def called(
    gateway: Gateway, name: str, arguments: dict[str, Any], server: str = ""
) -> dict[str, Any]:
    """Return the JSON-RPC answer to one tools/call."""
    params = {"name": name, "arguments": arguments}
    return await asked(gateway, server, "tools/call", params)


async def asked(
    gateway: Gateway, server: str, method: str, params: dict[str, Any], *, token: str = ""
) -> dict[str, Any]:
    """Return the JSON-RPC answer to one request of the stateless era."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params | {"_meta": META}}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": STATELESS,
        "Mcp-Method": method,
    }
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    path = f"/mcp/{server}" if server else "/mcp"
    _, answer = await gateway.ask("POST", path, body, headers=headers, token=token)
    return dict(answer)
