"""The door below `/http/`: one canonical call for one request."""

import json
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.model.call import Door, ToolCall
from proxy.model.ledger import Outcome
from proxy.model.step import Answer
from proxy.model.tool import Effect, HttpBinding, ToolManifest
from tests.harness.doors import RecordingGate, Reply, ask

SCHEMA = {
    "type": "object",
    "properties": {
        "table": {"type": "string"},
        "size": {"type": "integer"},
        "row": {"type": "object"},
        "If-Match": {"type": "string"},
    },
}
INSERT = ToolManifest(
    "rec",
    "insert",
    Effect.WRITE,
    http=HttpBinding(
        "POST",
        "/{table}/rows",
        query=("size",),
        body=("row",),
        headers=("If-Match",),
        input_schema=json.dumps(SCHEMA).encode(),
    ),
)
RESULT = b'{"status":201,"content_type":"application/json","body":{"id":1.0}}'


def created(_: ToolCall) -> Answer:
    return Answer("stp_1", "allow", (), Outcome.DONE, result=RESULT, decision_id="dec_1")


@pytest.fixture
def gate() -> RecordingGate:
    """A pipeline with one HTTP tool."""
    return RecordingGate(answer=created, http_tools={("rec", "insert"): INSERT})


async def post(
    app: ASGIApp, target: str = "/my%20table/rows", body: bytes = b"{}", **headers: str
) -> Reply:
    path, _, query = target.partition("?")
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = f"/http/rec{path}".encode()
    return await ask(
        app, "POST", "/http/rec/_", body, fields, raw_path=raw, query_string=query.encode()
    )


async def test_a_request_is_one_call(app: ASGIApp, gate: RecordingGate) -> None:
    """Path, query, body and named headers are its arguments; the answer is the tool's."""
    reply = await post(app, "/my%20table/rows?size=2", b'{"row":{"a":1.0}}', if_match='"v"')
    assert (reply.status, reply.body) == (201, b'{"id":1.0}')
    (call,) = gate.calls
    assert (call.resource_id, call.door, call.dry_run) == ("rec/insert", Door.HTTP, False)
    assert call.arguments == b'{"If-Match":"\\"v\\"","row":{"a":1},"size":2,"table":"my table"}'


async def test_urls_and_odd_characters_are_seen_by_policy(
    app: ASGIApp, gate: RecordingGate
) -> None:
    """As at every other door."""
    await post(app, "/t%E2%80%AE/rows", b'{"row":{"u":"http://EVIL.test/"}}')
    assert (gate.calls[0].urls, gate.calls[0].flags) == (("http://evil.test/",), ("bidi",))


async def test_a_key_and_a_dry_run_can_be_asked_for(app: ASGIApp, gate: RecordingGate) -> None:
    """By headers, for there is no envelope."""
    await post(app, idempotency_key="k1", detent_dry_run="true")
    assert (gate.calls[0].idempotency_key, gate.calls[0].dry_run) == ("k1", True)


Asked = tuple[str, bytes, dict[str, str]]
REFUSED: list[tuple[Asked, int, str]] = [
    (("/t/columns", b"{}", {}), 404, "unknown-tool"),
    (("/t/rows/", b"{}", {}), 404, "unknown-tool"),
    (("/t/rows?page=1", b"{}", {}), 400, "unknown-parameter"),
    (("/t/rows?size=01", b"{}", {}), 400, "argument-spelling"),
    (("/t/rows", b'{"table":"u"}', {}), 400, "unknown-member"),
    (("/t/rows", b"{}", {"detent_dry_run": "false"}), 400, "invalid-dry-run"),
    (("/t/rows", b"{}", {"idempotency_key": "x" * 256}), 400, "invalid-idempotency-key"),
]


@pytest.mark.parametrize(("asked", "status", "code"), REFUSED)
async def test_what_is_no_call_is_refused_and_audited(
    app: ASGIApp, gate: RecordingGate, asked: Asked, status: int, code: str
) -> None:
    """The pipeline gets nothing but the record of it."""
    target, body, headers = asked
    reply = await post(app, target, body, **headers)
    assert (reply.status, reply.json["code"]) == (status, code)
    assert (gate.calls, gate.rejected) == ([], [(code, Door.HTTP)])


async def test_without_a_token_nothing_is_read(app: ASGIApp, gate: RecordingGate) -> None:
    """A stranger cannot ask which routes there are."""
    reply = await post(app, "/t/nowhere", b"not json", authorization="")
    assert reply.status == 401
    assert (gate.calls, gate.rejected) == ([], [])


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT"])
async def test_other_methods_are_not_taken(app: ASGIApp, method: str) -> None:
    """The guard says which are."""
    reply = await ask(app, method, "/http/rec/t/rows")
    assert (reply.status, reply.headers["allow"]) == (405, "DELETE, GET, PATCH, POST, PUT")


@pytest.mark.parametrize("path", ["/http", "/http/", "/http/rec", "/https/rec/t/rows"])
async def test_a_path_without_a_route_below_a_server_does_not_exist(
    app: ASGIApp, path: str
) -> None:
    """There is nothing to ask for there."""
    assert (await ask(app, "POST", path)).status == 404


async def test_new_manifests_are_new_routes(app: ASGIApp, gate: RecordingGate) -> None:
    """A reload counts from the next request on."""
    assert (await post(app)).status == 201
    binding: Any = replace(INSERT.http or HttpBinding("", ""), path="/{table}/lines")
    gate.http_tools = {("rec", "insert"): replace(INSERT, http=binding)}
    assert (await post(app)).status == 404
    assert (await post(app, "/t/lines")).status == 201
