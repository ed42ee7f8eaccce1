"""HTTP tools: what is sent, and what an answer means."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.tool import Effect, HttpBinding, Recovery, ToolManifest
from proxy.upstream.base import UpstreamCall
from proxy.upstream.http import HttpUpstream
from tests.harness.wire import Received, Wire, answer

MakeClient = Callable[..., EgressClient]
BINDING = HttpBinding(
    "POST",
    "/{table}/rows",
    query=("dry",),
    body=("row",),
    input_schema=b'{"type":"object"}',
    description="Inserts a row",
)
INSERT = ToolManifest("db", "insert", Effect.WRITE, http=BINDING)
GET = ToolManifest("db", "get", Effect.READ, http=HttpBinding("GET", "/{table}"))


def call(manifest: ToolManifest = INSERT, **arguments: object) -> UpstreamCall:
    values = arguments or {"row": {"a": 1}, "table": "t"}
    return UpstreamCall(manifest, json.dumps(values, separators=(",", ":")).encode(), 5)


def nothing() -> None:
    """Nothing stands against a call."""


@pytest.fixture
async def upstream(make_client: MakeClient) -> HttpUpstream:
    """Give the tools of the recorded server, below a path."""
    return HttpUpstream("db", make_client("/v1/"), lambda: (INSERT, GET))


def answering(wire: Wire, given: bytes) -> None:
    async def handle(received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(given)

    wire.handler = handle


async def test_one_call_is_one_request(wire: Wire, upstream: HttpUpstream) -> None:
    """Method, base path, segment, query and canonical body."""
    await upstream.start()
    arguments = {"dry": True, "row": {"a": 1}, "table": "my table"}
    await upstream.call(call(INSERT, **arguments), nothing)
    (received,) = wire.requests
    assert received.line == "POST /v1/my%20table/rows?dry=true HTTP/1.1"
    assert received.body == b'{"row":{"a":1}}'
    assert received.names == {
        "host",
        "accept",
        "accept-encoding",
        "user-agent",
        "content-type",
        "content-length",
    }


async def test_a_read_has_no_body(wire: Wire, upstream: HttpUpstream) -> None:
    """Nor the headers of one."""
    await upstream.call(call(GET, table="t"), nothing)
    assert wire.requests[0].names == {"host", "accept", "accept-encoding", "user-agent"}


async def test_the_leases_headers_go_along(wire: Wire, upstream: HttpUpstream) -> None:
    """And no other ones."""
    lent = replace(call(), headers={"Authorization": "Bearer s3cret"})
    await upstream.call(lent, nothing)
    assert wire.requests[0].header("authorization") == "Bearer s3cret"
    assert "s3cret" not in repr(lent)


@pytest.mark.parametrize(
    ("recovery", "sent"), [(Recovery.IDEMPOTENCY_KEY, "step-1"), (Recovery.OPAQUE, None)]
)
async def test_an_idempotency_key_goes_to_tools_that_know_it(
    recovery: Recovery, sent: str | None, wire: Wire, upstream: HttpUpstream
) -> None:
    """The manifest says which."""
    manifest = replace(INSERT, recovery=recovery)
    await upstream.call(replace(call(manifest), idempotency_key="step-1"), nothing)
    assert wire.requests[0].header("idempotency-key") == sent


@pytest.mark.parametrize(
    "bad",
    [
        call(replace(INSERT, http=None)),
        call(replace(INSERT, http=HttpBinding("GET", "no slash"))),
        call(table="../admin"),
        call(table="t", extra=1),
        replace(call(), headers={"Host": "elsewhere"}),
        replace(call(), headers={"X": "a\r\nY: b"}),
    ],
)
async def test_what_cannot_be_sent_failed(
    bad: UpstreamCall, wire: Wire, upstream: HttpUpstream
) -> None:
    """No binding, a wrong one, arguments or headers that would go elsewhere: 0 bytes."""
    with pytest.raises(UpstreamFailed):
        await upstream.call(bad, nothing)
    assert wire.bytes_seen == 0


async def test_a_url_that_went_elsewhere_is_not_sent(
    wire: Wire, upstream: HttpUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look at the URL does not rely on the template."""
    monkeypatch.setattr("proxy.upstream.url_template.UrlTemplate.fill", lambda *_: "/a/../b")
    with pytest.raises(UpstreamFailed, match="where the request goes"):
        await upstream.call(call(), nothing)
    assert wire.bytes_seen == 0


@pytest.mark.parametrize(
    ("content_type", "body", "shown"),
    [
        ("application/json", b'{"a":[1,null]}', {"body": {"a": [1, None]}}),
        ("application/problem+json; charset=utf-8", b"{}", {"body": {}}),
        ("application/json", b"not json", {"body": "not json", "encoding": "text"}),
        ("application/json", b"", {"body": "", "encoding": "text"}),
        ("application/json", b'{"a":NaN}', {"body": '{"a":NaN}', "encoding": "text"}),
        ("application/json", b"\xff", {"body": "/w==", "encoding": "base64"}),
        ("text/plain", "é".encode(), {"body": "é"}),
        ("image/png", b"\x89PNG", {"body": "iVBORw==", "encoding": "base64"}),
    ],
)
async def test_the_result_shows_the_answer(
    content_type: str,
    body: bytes,
    shown: dict[str, object],
    wire: Wire,
    upstream: HttpUpstream,
) -> None:
    """JSON as JSON, text as text, the rest as base64."""
    answering(wire, answer(body, content_type=content_type))
    result = await upstream.call(call(), nothing)
    expected = {"status": 200, "content_type": content_type, **shown}
    assert json.loads(result.result) == expected


async def test_a_json_body_keeps_its_spelling(wire: Wire, upstream: HttpUpstream) -> None:
    """Numbers are not written anew."""
    answering(wire, answer(b'{"n": 1.0, "big": 12345678901234567890, "e": 1E2}'))
    result = await upstream.call(call(), nothing)
    assert b'"body":{"n": 1.0, "big": 12345678901234567890, "e": 1E2}}' in result.result


async def test_headers_a_later_request_depends_on_are_shown(
    wire: Wire, upstream: HttpUpstream
) -> None:
    """The version of what was read, and when to ask again; no cookie and no place to go."""
    answering(wire, answer(b"1", etag='"v1"', retry_after="5", set_cookie="a=b", location="/x"))
    result = json.loads((await upstream.call(call(), nothing)).result)
    assert result["headers"] == {"etag": '"v1"', "retry-after": "5"}
    assert result["body"] == 1


async def test_arguments_stand_in_the_headers_the_manifest_names(
    wire: Wire, upstream: HttpUpstream
) -> None:
    """By their names on the wire, which may differ."""
    binding = replace(BINDING, headers=("If-Match", "page"), names=(("page", "X-Page"),))
    manifest = replace(INSERT, http=binding)
    await upstream.call(call(manifest, **{"If-Match": '"v1"', "page": 2, "table": "t"}), nothing)
    assert wire.requests[0].header("if-match") == '"v1"'
    assert wire.requests[0].header("x-page") == "2"


async def test_an_answer_without_a_type_is_text(wire: Wire, upstream: HttpUpstream) -> None:
    """And its type is empty."""
    answering(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    result = await upstream.call(call(), nothing)
    assert json.loads(result.result) == {"status": 200, "content_type": "", "body": "{}"}


DONE, ERROR, UNKNOWN = "done", "error", "unknown"


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        (200, DONE, DONE),
        (201, DONE, DONE),
        (204, DONE, DONE),
        (301, ERROR, ERROR),
        (302, ERROR, UNKNOWN),
        (303, ERROR, UNKNOWN),
        (304, ERROR, ERROR),
        (307, ERROR, ERROR),
        (308, ERROR, ERROR),
        (400, ERROR, ERROR),
        (404, ERROR, ERROR),
        (409, ERROR, ERROR),
        (429, ERROR, ERROR),
        (500, ERROR, UNKNOWN),
        (502, ERROR, UNKNOWN),
        (504, ERROR, UNKNOWN),
        (599, ERROR, UNKNOWN),
    ],
)
@pytest.mark.parametrize("effect", list(Effect))
async def test_what_a_status_means(
    status: int, read: str, write: str, effect: Effect, wire: Wire, upstream: HttpUpstream
) -> None:
    """4xx says that nothing happened; after 5xx or a redirect on, a write may have."""
    answering(wire, answer(b"", status))
    outcome = DONE
    try:
        if (await upstream.call(call(replace(INSERT, effect=effect)), nothing)).is_error:
            outcome = ERROR
    except OutcomeUnknown:
        outcome = UNKNOWN
    assert outcome == (read if effect is Effect.READ else write)


async def test_definitions_come_from_the_manifests(make_client: MakeClient) -> None:
    """Name, description and schema, pinned; what contradicts itself is no tool."""
    wrong = replace(INSERT, tool="wrong", http=replace(BINDING, path="no slash"))
    broken = replace(INSERT, tool="broken", http=replace(BINDING, input_schema=b"{"))
    mcp = ToolManifest("db", "mcp", Effect.READ)
    upstream = HttpUpstream("db", make_client(), lambda: (wrong, broken, mcp, INSERT))
    (made,) = await upstream.definitions()
    assert made.raw == (
        b'{"description":"Inserts a row","inputSchema":{"type":"object"},"name":"insert"}'
    )
    assert made.input_schema == b'{"type":"object"}'
    assert made.pin.startswith("sha256:")


async def test_new_manifests_are_new_definitions(make_client: MakeClient) -> None:
    """The manifests are asked for each time."""
    current = [INSERT]
    upstream = HttpUpstream("db", make_client(), lambda: current)
    before = await upstream.definitions()
    current[0] = replace(INSERT, http=replace(BINDING, description="Other"))
    assert (await upstream.definitions())[0].pin != before[0].pin


async def test_after_stop_nothing_is_sent(wire: Wire, upstream: HttpUpstream) -> None:
    """A call under way is unknown, a later one failed."""

    async def silence(received: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    wire.handler = silence
    under_way = asyncio.create_task(upstream.call(call(), nothing))
    await wire.until(1)
    await upstream.stop()
    with pytest.raises(OutcomeUnknown):
        await under_way
    with pytest.raises(UpstreamFailed):
        await upstream.call(call(), nothing)
    assert len(wire.requests) == 1
