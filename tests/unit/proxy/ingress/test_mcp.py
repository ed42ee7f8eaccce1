import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.errors import StoreUnavailable
from proxy.model.call import Door
from tests.harness.doors import (
    META,
    STATEFUL,
    STATELESS,
    RecordingGate,
    Reply,
    app_of,
    ask,
    refused,
    rpc,
    stateless_headers,
)


async def post(
    app: ASGIApp, method: str, params: dict[str, Any] | None = None, **headers: str
) -> Reply:
    body = rpc(method, {"_meta": META} | (params or {}))
    name = (params or {}).get("name", (params or {}).get("uri", ""))
    return await ask(app, "POST", "/mcp", body, stateless_headers(method, name) | headers)


CALL = {"name": "rec__write", "arguments": {"text": "x"}}


async def test_discovery_names_versions_and_capabilities(app: ASGIApp) -> None:
    """Without any state, for this caller only."""
    result = (await post(app, "server/discover")).json["result"]
    assert STATELESS in result["supportedVersions"]
    assert result["capabilities"] == {"tools": {"listChanged": True}}
    assert (result["resultType"], result["cacheScope"]) == ("complete", "private")
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["version"] == "1.2.3"


async def test_a_call_needs_no_session(app: ASGIApp, gate: RecordingGate) -> None:
    """One request, one answer, no Mcp-Session-Id."""
    reply = await post(app, "tools/call", CALL)
    assert (reply.status, reply.json["result"]["resultType"]) == (200, "complete")
    assert "mcp-session-id" not in reply.headers
    assert [call.arguments for call in gate.calls] == [b'{"text":"x"}']


async def test_a_servers_own_endpoint_lists_its_tools(app: ASGIApp) -> None:
    """By their plain names; an unknown server has none."""
    headers = stateless_headers("tools/list")
    body = rpc("tools/list", {"_meta": META})
    own = await ask(app, "POST", "/mcp/rec", body, headers)
    unknown = await ask(app, "POST", "/mcp/elsewhere", body, headers)
    assert [shown["name"] for shown in own.json["result"]["tools"]] == ["write"]
    assert unknown.json["result"]["tools"] == []


@pytest.mark.parametrize("method", ["initialize", "ping", "tasks/list", "roots/list", "x"])
async def test_other_methods_do_not_exist(app: ASGIApp, gate: RecordingGate, method: str) -> None:
    """404 and -32601, and an audit record."""
    reply = await post(app, method)
    assert (reply.status, reply.json["error"]["code"]) == (404, -32601)
    assert gate.rejected == [("unknown-method", Door.MCP)]


async def test_an_unknown_version_is_told_the_known_ones(app: ASGIApp) -> None:
    """As the specification lays its data out."""
    meta = META | {"io.modelcontextprotocol/protocolVersion": "2031-01-01"}
    headers = {"mcp-protocol-version": "2031-01-01"}
    error = (await post(app, "tools/list", {"_meta": meta}, **headers)).json["error"]
    assert (error["code"], error["data"]["requested"]) == (-32022, "2031-01-01")
    assert STATELESS in error["data"]["supported"]


async def test_a_version_of_no_known_form_is_not_repeated(app: ASGIApp) -> None:
    """Input is only echoed where it cannot carry anything."""
    named = "<script>"
    meta = META | {"io.modelcontextprotocol/protocolVersion": named}
    reply = await post(app, "tools/list", {"_meta": meta}, **{"mcp-protocol-version": named})
    assert reply.json["error"]["data"]["requested"] == ""


async def test_a_notification_is_accepted_and_dropped(app: ASGIApp, gate: RecordingGate) -> None:
    """A cancellation is the closing of a request here; a posted one does nothing."""
    body = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}'
    reply = await ask(app, "POST", "/mcp", body, {"mcp-protocol-version": STATELESS})
    assert (reply.status, reply.body) == (202, b"")
    unknown = await ask(app, "POST", "/mcp", body, {"mcp-protocol-version": "x"})
    assert (unknown.status, unknown.json["error"]["code"]) == (400, -32022)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_every_method_needs_a_token(app: ASGIApp, gate: RecordingGate, method: str) -> None:
    """Before anything is read; strangers leave no audit record."""
    reply = await ask(app, method, "/mcp", b"nonsense", {"authorization": "Bearer dta_x"})
    assert (reply.status, reply.json["id"]) == (401, None)
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert gate.rejected == []


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_this_revision_takes_only_posts(app: ASGIApp, method: str) -> None:
    """There is no session to stream to or to end."""
    reply = await ask(app, method, "/mcp", headers={"mcp-protocol-version": STATELESS})
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


async def test_a_malformed_body_is_audited(app: ASGIApp, gate: RecordingGate) -> None:
    """Its error has a null id and a code, and repeats nothing."""
    reply = await ask(app, "POST", "/mcp", b'{"hunter2":')
    assert (reply.status, reply.json["error"]["code"]) == (400, -32700)
    assert reply.json["id"] is None
    assert "hunter2" not in reply.body.decode()
    assert gate.rejected == [("not-json", Door.MCP)]


async def test_an_error_carries_the_id_of_its_request(app: ASGIApp) -> None:
    """As soon as it is known."""
    reply = await post(app, "tools/call", CALL | {"arguments": []})
    assert (reply.status, reply.json["id"], reply.json["error"]["code"]) == (400, 1, -32602)


async def test_json_must_be_accepted(app: ASGIApp) -> None:
    """Answers to posts are JSON."""
    assert (await post(app, "tools/list", accept="text/html")).status == 406


@pytest.mark.parametrize(("reason_id", "key"), [("killed", "error"), ("default-deny", "result")])
async def test_a_refusal_is_no_http_error(
    app: ASGIApp, gate: RecordingGate, reason_id: str, key: str
) -> None:
    """Clients read it inside of JSON-RPC."""
    gate.answer = refused(reason_id)
    reply = await post(app, "tools/call", CALL)
    assert (reply.status, key in reply.json) == (200, True)


async def test_a_ledger_that_cannot_be_written_is_told(
    gate: RecordingGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the request was: what cannot be audited is not served."""

    async def unavailable(*_: object) -> Any:
        raise StoreUnavailable("disk")

    monkeypatch.setattr(gate, "visible", unavailable)
    reply = await post(app_of(gate), "tools/list")
    assert (reply.status, reply.json["error"]["code"]) == (503, -32013)


RESPONSE = json.dumps({"jsonrpc": "2.0", "id": "ask_1", "result": {}}).encode()


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"mcp-protocol-version": STATELESS}, "unexpected-response"),
        ({"mcp-protocol-version": "2031-01-01"}, "unexpected-response"),
        ({"mcp-protocol-version": STATEFUL}, "missing-session"),
        ({}, "missing-session"),
    ],
)
async def test_a_response_belongs_to_a_session(
    app: ASGIApp, gate: RecordingGate, headers: dict[str, str], code: str
) -> None:
    """The stateless era has none to post."""
    reply = await ask(app, "POST", "/mcp", RESPONSE, headers)
    assert (reply.status, reply.json["id"]) == (400, None)
    assert reply.json["error"]["data"]["code"] == code
    assert gate.rejected == [(code, Door.MCP)]
