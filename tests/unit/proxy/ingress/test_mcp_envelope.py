import base64
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.ingress.jsonrpc import Message
from proxy.ingress.mcp_envelope import (
    check_envelope,
    check_hints,
    check_version,
    is_stateless,
    progress_token,
    stateless_client,
)
from proxy.model.mcp import Era
from tests.harness.doors import META, STATEFUL, STATELESS, request_scope, stateless_headers

CALL = Message(1, "tools/call", {"name": "rec__write", "_meta": META})
LIST = Message(1, "tools/list", {"_meta": META})
READ = Message(1, "resources/read", {"uri": "file:///x", "_meta": META})
TASK = Message(1, "tasks/get", {"taskId": "t", "_meta": META})


def scope_with(headers: dict[str, str]) -> dict[str, Any]:
    return request_scope("POST", "/mcp", headers)


def wrapped(text: bytes) -> str:
    return f"=?base64?{base64.b64encode(text).decode()}?="


@pytest.mark.parametrize(
    ("version", "stateless"),
    [
        ("", False),
        (STATEFUL, False),
        ("2025-06-18", False),
        (STATELESS, True),
        ("2031-01-01", True),
    ],
)
def test_the_header_picks_the_era(version: str, stateless: bool) -> None:
    """No header and known handshake versions are the handshake era, all others are not."""
    message = Message(1, "tools/list", {})
    scope = scope_with({"mcp-protocol-version": version})
    assert is_stateless(scope, message) is stateless


@pytest.mark.parametrize("version", ["", STATEFUL])
def test_a_body_that_names_another_version_is_refused(version: str) -> None:
    """Header and `_meta` say the same, or the header is missing and that is said."""
    with pytest.raises(BadRequest) as refused:
        is_stateless(scope_with({"mcp-protocol-version": version}), LIST)
    assert refused.value.rpc_code == -32020


@pytest.mark.parametrize("name", ["rec__write", " rec__write\t ", wrapped(b"rec__write")])
def test_headers_that_agree_pass(name: str) -> None:
    """Plain or in the base64 form."""
    check_envelope(scope_with(stateless_headers("tools/call", name)), CALL)
    check_envelope(scope_with(stateless_headers("tools/list")), LIST)
    check_envelope(scope_with(stateless_headers("resources/read", "file:///x")), READ)
    check_envelope(scope_with(stateless_headers("tasks/get", "t")), TASK)


@pytest.mark.parametrize(
    ("message", "changed", "code"),
    [
        (CALL, {"mcp-method": ""}, -32020),
        (CALL, {"mcp-method": "tools/list"}, -32020),
        (CALL, {"mcp-name": ""}, -32020),
        (CALL, {"mcp-name": "rec__read"}, -32020),
        (CALL, {"mcp-name": "=?base64?!?="}, -32020),
        (CALL, {"mcp-name": "=?base64?cmVjX193cml0ZR==?="}, -32020),
        (CALL, {"mcp-name": wrapped(b"\xff")}, -32020),
        (LIST, {"mcp-name": "rec__write"}, -32020),
        (LIST, {"mcp-name": "=?base64?!?="}, -32020),
        (CALL, {"mcp-method": "TOOLS/CALL"}, -32020),
        (READ, {"mcp-name": "file:///y"}, -32020),
        (TASK, {"mcp-name": ""}, -32020),
        (CALL, {"mcp-protocol-version": "2031-01-01"}, -32022),
        (Message(1, "tools/list", {}), {}, -32602),
        (Message(1, "tools/list", {"_meta": dict(list(META.items())[:1])}), {}, -32602),
    ],
)
def test_headers_and_body_that_disagree_are_refused(
    message: Message, changed: dict[str, str], code: int
) -> None:
    """Missing, different, broken and orphaned headers, missing keys, unknown versions."""
    name = "rec__write" if message.method == "tools/call" else ""
    headers = stateless_headers(message.method, name) | changed
    with pytest.raises(BadRequest) as refused:
        check_envelope(scope_with(headers), message)
    assert (refused.value.rpc_code, refused.value.http) == (code, 400)


@pytest.mark.parametrize(
    "headers",
    [{}, {"mcp-method": "tools/call"}, stateless_headers("tools/call", wrapped(b"rec__write"))],
)
def test_an_older_request_needs_no_headers(headers: dict[str, str]) -> None:
    """Those that come have to agree all the same."""
    check_hints(scope_with(headers), CALL)


@pytest.mark.parametrize(
    ("message", "headers"),
    [
        (CALL, {"mcp-method": "tools/list"}),
        (CALL, {"mcp-name": "rec__read"}),
        (CALL, {"mcp-name": "=?base64?!?="}),
        (LIST, {"mcp-name": "rec__write"}),
        (LIST, {"mcp-name": "=?base64?!?="}),
    ],
)
def test_an_older_request_misleads_nobody_either(message: Message, headers: dict[str, str]) -> None:
    """An intermediary may act on a header of any revision."""
    with pytest.raises(BadRequest) as refused:
        check_hints(scope_with(headers), message)
    assert refused.value.rpc_code == -32020


def test_a_request_says_what_its_client_can_do() -> None:
    """And what it wants to hear."""
    more = {"progressToken": "p", "io.modelcontextprotocol/logLevel": "info"}
    client = stateless_client(Message(1, "x/y", {"_meta": META | more}), "ses_1")
    assert (client.era, client.session, client.capabilities) == (Era.STATELESS, "ses_1", {})
    assert (client.progress_token, client.log_level) == ("p", "info")


@pytest.mark.parametrize("token", [True, 1.5, [], {}])
def test_a_progress_token_is_a_string_or_a_whole_number(token: Any) -> None:
    """Zero and the empty string are both."""
    with pytest.raises(BadRequest) as refused:
        progress_token(Message(1, "x/y", {"_meta": {"progressToken": token}}))
    assert refused.value.rpc_code == -32602
    assert progress_token(Message(1, "x/y", {"_meta": {"progressToken": 0}})) == 0
    assert progress_token(Message(1, "x/y", {"_meta": {"progressToken": ""}})) == ""


def test_a_notification_is_only_asked_for_its_version() -> None:
    """The stateless era defines no other header for it."""
    check_version(scope_with({"mcp-protocol-version": STATELESS}))
