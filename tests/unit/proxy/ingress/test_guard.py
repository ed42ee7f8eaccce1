import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from proxy.ingress.guard import Guard, GuardSettings, loopback_hosts
from proxy.ingress.origins import Origins
from proxy.ingress.protocol import TARGET
from proxy.ingress.wire import read_body, respond
from tests.harness.doors import HOST, Reply, exchange, request_scope

ROUTES = {"/a": ("GET", "POST"), "/a/*": ("DELETE",)}
PAGE = "https://console.test"
SETTINGS = GuardSettings(
    frozenset({HOST}), Origins(frozenset({PAGE})), max_body_bytes=10, body_timeout_s=0.05
)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, await read_body(receive))


async def guarded(
    method: str = "POST",
    path: str = "/a",
    headers: dict[str, str] | None = None,
    chunks: tuple[bytes, ...] = (b"",),
    **scope: Any,
) -> Reply:
    fields = {"host": HOST} | (headers or {})
    app = Guard(echo, SETTINGS, ROUTES)
    return await exchange(app, request_scope(method, path, fields, **scope), list(chunks))


def body_headers(body: bytes, **more: str) -> dict[str, str]:
    fields = {"content-length": str(len(body)), "content-type": "application/json"}
    return fields | {name.replace("_", "-"): value for name, value in more.items()}


async def test_a_plain_request_passes_with_its_body() -> None:
    """The body comes whole, however it was cut."""
    reply = await guarded(headers=body_headers(b'{"a":1}'), chunks=(b'{"a"', b":1}"))
    assert (reply.status, reply.body) == (200, b'{"a":1}')


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-length": "0"}, {"content-length": "0", "content-type": "text/plain"}],
)
async def test_an_empty_body_needs_no_content_type(headers: dict[str, str]) -> None:
    """`curl -X POST` works."""
    assert (await guarded(headers=headers)).status == 200


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", 'application/json;charset="UTF-8"'],
)
async def test_json_in_utf_8_is_taken(content_type: str) -> None:
    """The charset may be named."""
    reply = await guarded(headers=body_headers(b"{}", content_type=content_type), chunks=(b"{}",))
    assert reply.status == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-type": ""}, 415, "unsupported-media-type"),
        ({"content-type": "text/plain"}, 415, "unsupported-media-type"),
        ({"content-type": "application/json; charset=utf-16"}, 415, "unsupported-media-type"),
        ({"content-type": "multipart/form-data; boundary=x"}, 415, "unsupported-media-type"),
        ({"content-type": "application/json-patch+json"}, 415, "unsupported-media-type"),
        ({"content-encoding": "gzip"}, 415, "unsupported-media-type"),
        ({"content-length": "11"}, 413, "body-too-large"),
        ({"content-length": "9" * 30}, 400, "invalid-length"),
        ({"content-length": "-1"}, 400, "invalid-length"),
        ({"content-length": "1_0"}, 400, "invalid-length"),
        ({"host": ""}, 400, "invalid-host"),
        ({"host": "evil.test"}, 421, "wrong-host"),
        ({"host": "detent.test"}, 421, "wrong-host"),
        ({"host": f"user@{HOST}"}, 400, "invalid-host"),
        ({"host": "detent.test/x?a#b"}, 400, "invalid-host"),
        ({"origin": "https://evil.test"}, 403, "wrong-origin"),
        ({"origin": "null"}, 403, "wrong-origin"),
        ({"x-name": "\xe9"}, 400, "header-not-ascii"),
        ({"x-long": "x" * 16_384}, 431, "headers-too-large"),
        ({f"x-{number}": "1" for number in range(64)}, 431, "headers-too-large"),
    ],
)
async def test_headers_that_do_not_fit_are_refused(
    headers: dict[str, str], status: int, code: str
) -> None:
    """Each by its own rule, before the application."""
    reply = await guarded(headers=body_headers(b"{}") | headers, chunks=(b"{}",))
    assert (reply.status, reply.json["code"]) == (status, code)


async def test_a_listed_page_may_ask_and_read() -> None:
    """What passes is answered with the permission to read it."""
    reply = await guarded(headers={"origin": PAGE})
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, PAGE)


async def test_a_listed_page_may_read_why_it_is_refused() -> None:
    """A refusal carries the same permission."""
    reply = await guarded(path="/b", headers={"origin": PAGE})
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (404, PAGE)


@pytest.mark.parametrize(("path", "status"), [("/a", 204), ("/b", 404)])
async def test_a_preflight_is_answered_for_paths_that_exist(path: str, status: int) -> None:
    """Without asking the application."""
    asked = {"origin": PAGE, "access-control-request-method": "POST"}
    reply = await guarded("OPTIONS", path, asked)
    assert (reply.status, reply.body if status == 204 else b"") == (status, b"")
    assert reply.headers.get("access-control-allow-methods") in ("GET, POST", None)


@pytest.mark.parametrize(
    "headers", [{}, {"origin": PAGE}, {"access-control-request-method": "POST"}]
)
async def test_what_is_no_preflight_is_an_unknown_method(headers: dict[str, str]) -> None:
    """OPTIONS is for pages only."""
    assert (await guarded("OPTIONS", headers=headers)).status == 405


@pytest.mark.parametrize("host", [HOST.upper(), HOST])
async def test_host_names_have_no_case(host: str) -> None:
    """RFC 9110 section 4.2.3."""
    assert (await guarded(headers={"host": host})).status == 200


async def test_framing_is_checked_before_the_body_is_read() -> None:
    """A transfer coding that is not plain chunked ends the request."""
    reply = await guarded(headers={"transfer-encoding": "gzip, chunked"}, chunks=())
    assert (reply.status, reply.json["code"]) == (400, "invalid-transfer-encoding")


@pytest.mark.parametrize(
    ("path", "raw_path"),
    [
        ("/a/..", b"/a/.."),
        ("/a/./b", b"/a/./b"),
        ("//a", b"//a"),
        ("/a;x=1", b"/a;x=1"),
        ("/a\\b", b"/a\\b"),
        ("/a", b"/%61"),
        ("/a/b", b"/a%2fb"),
        ("/a%", b"/a%25"),
        ("/a\u00e9", b"/a%C3%A9"),
        ("a", b"a"),
    ],
)
async def test_paths_with_two_readings_are_refused(path: str, raw_path: bytes) -> None:
    """Escapes, dots, empty segments and parameters have no place in our paths."""
    reply = await guarded(path=path, raw_path=raw_path)
    assert (reply.status, reply.json["code"]) == (400, "invalid-path")


@pytest.mark.parametrize(
    ("target", "status"),
    [(b"/a", 200), (b"/a?x=1", 200), (b"http://evil.test/a", 400), (b"/a#x", 400)],
)
async def test_the_target_as_sent_must_be_the_path(target: bytes, status: int) -> None:
    """Absolute-form names a host of its own; a fragment is never sent by anyone honest."""
    scope: dict[str, Any] = {TARGET: target}
    assert (await guarded(**scope)).status == status


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/b", 404, None),
        ("GET", "/a/", 404, None),
        ("GET", "/a/x/y", 404, None),
        ("PUT", "/a", 405, "GET, POST"),
        ("HEAD", "/a", 405, "GET, POST"),
        ("GET", "/a/x", 405, "DELETE"),
        ("DELETE", "/a/x", 200, None),
    ],
)
async def test_only_listed_paths_and_methods_exist(
    method: str, path: str, status: int, allow: str | None
) -> None:
    """A star stands for one segment that is not empty."""
    reply = await guarded(method, path)
    assert (reply.status, reply.headers.get("allow")) == (status, allow)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (b"wait=3", 200),
        (b"monkey=1&keyboard=2", 200),
        (b"token=x", 400),
        (b"ACCESS_TOKEN=x", 400),
        (b"a=1&api-key=x", 400),
        (b"a=1;apikey=x", 400),
        (b"x_secret", 400),
        (b"%74oken=x", 400),
        (b"%2574oken=x", 400),
        (b"authorization=Bearer+x", 400),
        (b"q=dta_" + b"A" * 43, 400),
        (b"a=" + b"x" * 2_047, 414),
    ],
)
async def test_credentials_in_the_query_are_refused(query: bytes, status: int) -> None:
    """By the name of the parameter in every spelling, and by the form of our tokens."""
    assert (await guarded(query_string=query)).status == status


@pytest.mark.parametrize("chunks", [(b"12345678901",), (b"123456", b"7890", b"1")])
async def test_a_body_is_counted_as_it_comes(chunks: tuple[bytes, ...]) -> None:
    """Without Content-Length the cap holds all the same, and the connection is closed."""
    headers = {"transfer-encoding": "chunked", "content-type": "application/json"}
    reply = await guarded(headers=headers, chunks=chunks)
    assert (reply.status, reply.json["code"]) == (413, "body-too-large")
    assert reply.headers["connection"] == "close"


async def test_a_slow_body_times_out() -> None:
    """The deadline is on the whole body."""
    reply = await guarded(headers=body_headers(b"{}"), chunks=())
    assert (reply.status, reply.json["code"]) == (408, "body-timeout")


async def test_a_client_that_goes_away_while_sending_is_not_served() -> None:
    """A part of a body never reaches the application, and nothing is answered."""
    messages: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        raise AssertionError(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    scope = request_scope("POST", "/a", {"host": HOST} | body_headers(b"{}"))
    await Guard(app, SETTINGS, ROUTES)(scope, receive, send)


async def test_after_the_body_the_application_can_wait_for_a_disconnect() -> None:
    """The body comes once, then the server's own messages."""
    seen: list[str] = []
    messages: list[Message] = [
        {"type": "http.request", "body": b"{}"},
        {"type": "http.disconnect"},
    ]

    async def receive() -> Message:
        return messages.pop(0)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([(await receive())["type"], (await receive())["type"]])

    async def send(_: Message) -> None:
        await asyncio.sleep(0)

    scope = request_scope("POST", "/a", {"host": HOST} | body_headers(b"{}"))
    await Guard(app, SETTINGS, ROUTES)(scope, receive, send)
    assert seen == ["http.request", "http.disconnect"]


@pytest.mark.parametrize(("kind", "sent"), [("lifespan", []), ("websocket", ["websocket.close"])])
async def test_other_scopes_are_passed_or_closed(kind: str, sent: list[str]) -> None:
    """Lifespan passes, websockets are not taken."""
    seen: list[str] = []
    answered: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        answered.append(message["type"])

    await Guard(app, SETTINGS, ROUTES)({"type": kind}, receive, send)
    assert (seen, answered) == (["lifespan"] if kind == "lifespan" else [], sent)


def test_loopback_has_three_names() -> None:
    """With the port, and without it where clients leave it out."""
    assert loopback_hosts(8787) == {"127.0.0.1:8787", "localhost:8787", "[::1]:8787"}
    assert {"localhost", "localhost:80"} < loopback_hosts(80)


async def test_a_refusal_is_logged_by_its_code_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Neither path nor query nor headers get into the log."""
    scope = request_scope("GET", "/a", {"host": HOST}, query_string=b"token=hunter2")
    await exchange(Guard(echo, SETTINGS, ROUTES), scope, [b""])
    assert "token-in-query" in caplog.text
    assert "hunter2" not in caplog.text
