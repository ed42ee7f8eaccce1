"""The guard below a path whose segments are data."""

from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from proxy.ingress.guard import Guard, GuardSettings
from proxy.ingress.wire import read_body, respond
from tests.harness.doors import HOST, Reply, exchange, request_scope

ROUTES = {"/a": ("GET",), "/open/*/**": ("GET", "POST"), "/a/*": ("DELETE",)}
SETTINGS = GuardSettings(frozenset({HOST}))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send, 200, await read_body(receive))


async def guarded(raw: str, method: str = "GET", query: bytes = b"", **more: Any) -> Reply:
    path = more.pop("path", raw)
    scope = request_scope(method, path, {"host": HOST}, raw_path=raw.encode(), query_string=query)
    return await exchange(Guard(echo, SETTINGS, ROUTES), scope | more, [b""])


@pytest.mark.parametrize(
    "raw", ["/open/s/x", "/open/s/x/y/z", "/open/s/", "/open/s/x/", "/open/s/a%20b%C3%A9"]
)
async def test_any_depth_and_escapes_pass(raw: str) -> None:
    """Their door reads them."""
    assert (await guarded(raw)).status == 200


@pytest.mark.parametrize("raw", ["/open/s", "/open/", "/open", "/opener/s/x"])
async def test_what_is_not_below_a_server_does_not_exist(raw: str) -> None:
    """At least one segment, which may be empty, follows the star."""
    assert (await guarded(raw)).status == 404


@pytest.mark.parametrize(
    "raw",
    ["/open/s/../x", "/open/../a", "/open/s/%2e%2e/x", "/open/s//x", "/open/s/a%2Fb", "/open//x",
     "/open/s/a;b", "/open/s/%00", "/open/s/%252e", "/open/s/a\\b"],
)  # fmt: skip
async def test_structure_is_refused(raw: str) -> None:
    """Before the door is asked."""
    reply = await guarded(raw, path="/open/s/x")
    assert (reply.status, reply.json["code"]) == (400, "invalid-path")


@pytest.mark.parametrize("raw", ["/%6Fpen/s/x", "/a/%2e%2e", "/a%2f"])
async def test_escapes_have_no_place_elsewhere(raw: str) -> None:
    """A path is open by the bytes it begins with."""
    reply = await guarded(raw, path="/open/s/x")
    assert (reply.status, reply.json["code"]) == (400, "invalid-path")


async def test_only_listed_methods_are_taken() -> None:
    """As on every path."""
    reply = await guarded("/open/s/x", "PUT")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (b"page_token=x&sort_key=y", 200),
        (b"q=" + b"x" * 8_190, 200),
        (b"q=" + b"x" * 8_191, 414),
        (b"q=dta_" + b"A" * 43, 400),
        (b"q=%64ts_" + b"A" * 43, 400),
        (b"dto_" + b"A" * 43, 400),
    ],
)
async def test_parameters_are_the_doors_but_our_tokens_are_not(query: bytes, status: int) -> None:
    """A service's own parameter may be called a token; ours is never one."""
    assert (await guarded("/open/s/x", query=query)).status == status
