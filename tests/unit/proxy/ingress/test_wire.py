import asyncio
from typing import Any

import pytest
from starlette.types import Message

from proxy.errors import Refused
from proxy.ingress.unread import HANG_UP
from proxy.ingress.wire import (
    accepts,
    bearer,
    disconnected,
    hang_up_soon,
    header,
    read_body,
    respond,
)
from tests.harness.doors import request_scope

BAD_AUTHORIZATION = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer  two-spaces",
    "Basic dXNlcjpwdw==",
    "token",
    "Bearer a b",
    "Bearer a,b",
    "Bearer " + "a" * 4097,
]
ACCEPTS = [
    (None, True),
    ("application/json, text/event-stream", True),
    ("Text/Event-Stream;q=0.5", True),
    ("text/*", True),
    ("*/*", True),
    ("application/json", False),
    ("text/event-streams", False),
]


def scope_with(**headers: str) -> dict[str, Any]:
    return request_scope("GET", "/", headers)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_bearer_token_is_read(scheme: str) -> None:
    """The scheme is case-insensitive (RFC 9110 section 11.1), the token is not touched."""
    assert bearer(scope_with(authorization=f"{scheme} dta_A-b_c.~+/=")) == "dta_A-b_c.~+/="


@pytest.mark.parametrize("value", BAD_AUTHORIZATION)
def test_anything_else_is_not_authenticated(value: str) -> None:
    """There is no other way to say who one is."""
    with pytest.raises(Refused, match="not-authenticated"):
        bearer(scope_with(authorization=value))


def test_a_missing_header_is_none() -> None:
    """Names are looked up in lower case."""
    assert header(scope_with(host="h"), b"host") == "h"
    assert header(scope_with(host="h"), b"accept") is None


@pytest.mark.parametrize(("value", "taken"), ACCEPTS)
def test_accept_is_understood(value: str | None, taken: bool) -> None:
    """With wildcards and parameters (RFC 9110 section 12.5.1)."""
    assert accepts(scope_with(accept=value or ""), "text/event-stream") is taken


async def test_a_body_is_read_to_its_end() -> None:
    """Chunks are joined, a message without a body counts as empty."""
    chunks: list[Message] = [
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b"b"},
    ]

    async def receive() -> Message:
        return chunks.pop(0)

    assert await read_body(receive) == b"ab"


async def test_no_response_may_be_cached() -> None:
    """Every response carries its length and no-store."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await respond(send, 200, b"{}")
    assert (b"content-length", b"2") in sent[0]["headers"]
    assert (b"cache-control", b"no-store") in sent[0]["headers"]
    assert sent[1] == {"type": "http.response.body", "body": b"{}"}


async def test_leftover_messages_are_no_disconnect() -> None:
    """Only http.disconnect ends the wait."""
    messages: list[Message] = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive() -> Message:
        return messages.pop(0)

    async with asyncio.timeout(1):
        await disconnected(receive)
    assert messages == []


def test_a_connection_is_let_go_of_by_who_has_it() -> None:
    """Without one, as in process, there is nothing to let go of."""
    asked: list[str] = []
    hang_up_soon({HANG_UP: lambda: asked.append("hurry")})
    hang_up_soon({})
    assert asked == ["hurry"]
