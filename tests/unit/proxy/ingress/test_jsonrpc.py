import json
from typing import Any

import pytest

from proxy.errors import BadRequest, Refused, StoreUnavailable, UpstreamFailed
from proxy.ingress.jsonrpc import (
    FAULT_CODES,
    Message,
    Response,
    error_of,
    error_reply,
    fault_object,
    notification_message,
    parse_message,
    reply_message,
    request_message,
    result_reply,
)
from proxy.model.mcp import RpcReply
from proxy.model.reasons import REASONS, reason

GOOD: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
REFUSED: list[tuple[Any, str]] = [
    ([], "batch"),
    ([GOOD], "batch"),
    ("ping", "not-a-message"),
    (GOOD | {"jsonrpc": "1.0"}, "not-a-message"),
    ({"id": 1, "method": "ping"}, "not-a-message"),
    (GOOD | {"method": 1}, "not-a-message"),
    (GOOD | {"method": "ping\n"}, "not-a-message"),
    ({"jsonrpc": "2.0", "id": 1}, "not-a-message"),
    (GOOD | {"METHOD": "tools/call"}, "unknown-member"),
    (GOOD | {"result": {}}, "unknown-member"),
    (GOOD | {"id": None}, "invalid-id"),
    (GOOD | {"id": 1.0}, "invalid-id"),
    (GOOD | {"id": 1.5}, "invalid-id"),
    (GOOD | {"id": True}, "invalid-id"),
    (GOOD | {"id": {}}, "invalid-id"),
    (GOOD | {"id": "x" * 257}, "invalid-id"),
    ({"jsonrpc": "2.0", "method": "tools/call"}, "missing-id"),
    (GOOD | {"params": None}, "invalid-params"),
    (GOOD | {"params": []}, "invalid-params"),
    (GOOD | {"params": {"_meta": None}}, "invalid-params"),
    ({"jsonrpc": "2.0", "id": 1, "result": {}}, "unexpected-response"),
    ({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": ""}}, "unexpected-response"),
    ({"jsonrpc": "2.0", "result": {}}, "unexpected-response"),
    ({"jsonrpc": "2.0", "id": "a", "result": []}, "unexpected-response"),
    ({"jsonrpc": "2.0", "id": "a", "result": {}, "error": {}}, "unexpected-response"),
    ({"jsonrpc": "2.0", "id": "a", "result": {}, "x": 1}, "unexpected-response"),
    ({"jsonrpc": "2.0", "id": "a", "error": None}, "unexpected-response"),
    ({"jsonrpc": "2.0", "id": "a", "error": {"code": 1.0, "message": ""}}, "unexpected-response"),
    ({"jsonrpc": "2.0", "id": "a", "error": {"code": 1}}, "unexpected-response"),
    (
        {"jsonrpc": "2.0", "id": "a", "error": {"code": 1, "message": "", "x": 1}},
        "unexpected-response",
    ),
]


@pytest.mark.parametrize(("message", "code"), REFUSED)
def test_what_is_not_one_plain_message_is_refused(message: Any, code: str) -> None:
    """Each with its code and HTTP 400."""
    with pytest.raises(BadRequest) as refused:
        parse_message(json.dumps(message).encode())
    assert (refused.value.code, refused.value.http) == (code, 400)


@pytest.mark.parametrize("request_id", [1, 0, -5, "a", ""])
def test_a_request_is_read(request_id: Any) -> None:
    """Ids are strings or whole numbers."""
    params = {"_meta": {"k": 1}, "x": 2}
    message = parse_message(json.dumps(GOOD | {"id": request_id, "params": params}).encode())
    assert isinstance(message, Message)
    assert message == Message(request_id, "ping", params)
    assert message.meta == {"k": 1}


def test_a_notification_has_no_id() -> None:
    """And may leave its params out."""
    message = parse_message(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
    assert isinstance(message, Message)
    assert message == Message(None, "notifications/initialized", {})
    assert message.meta == {}


@pytest.mark.parametrize(
    ("outcome", "reply"),
    [
        ({"result": {"b": 1.0, "a": 2}}, RpcReply(result=b'{"a":2,"b":1}')),
        (
            {"error": {"message": "no", "code": -1, "data": []}},
            RpcReply(error=b'{"code":-1,"data":[],"message":"no"}'),
        ),
    ],
)
def test_a_response_is_canonical(outcome: dict[str, Any], reply: RpcReply) -> None:
    """What a client answers goes to a server as policy and monitors see it."""
    body = json.dumps({"jsonrpc": "2.0", "id": "ask_1", **outcome}).encode()
    assert parse_message(body) == Response("ask_1", reply)


def test_requests_and_notifications_to_clients_carry_params_as_they_are() -> None:
    """Nothing of a server is spelled anew."""
    assert request_message("a", "roots/list", b'{"n": 1.0}') == (
        b'{"jsonrpc":"2.0","id":"a","method":"roots/list","params":{"n": 1.0}}'
    )
    assert notification_message("n/x", b"{ }") == b'{"jsonrpc":"2.0","method":"n/x","params":{ }}'


def test_an_error_of_a_server_goes_through_as_it_came() -> None:
    """Code, message and data."""
    reply = reply_message(1, RpcReply(error=b'{"code": -1, "message": "x"}'))
    assert reply == b'{"jsonrpc":"2.0","id":1,"error":{"code": -1, "message": "x"}}'


def test_a_result_goes_into_its_reply_as_it_is() -> None:
    """Its bytes are not touched."""
    assert result_reply('a"', b'{"n": 1.50}') == (
        b'{"jsonrpc":"2.0","id":"a\\"","result":{"n": 1.50}}'
    )


def test_an_error_without_data_has_none() -> None:
    """An unknown id is null."""
    assert error_reply(None, -32600, "No.") == (
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"No."}}'
    )


@pytest.mark.parametrize(
    ("error", "code", "data"),
    [
        (BadRequest("x", "No.", rpc_code=-32020), -32020, {"code": "x", "more": 1}),
        (Refused.because("killed"), -32011, "killed"),
        (Refused.because("agent-locked"), -32010, "agent-locked"),
        (StoreUnavailable("disk"), -32013, "store-unavailable"),
    ],
)
def test_errors_of_the_house_have_their_codes(error: Any, code: int, data: Any) -> None:
    """Bad requests tell their code, refusals their reasons."""
    told = json.loads(error_of(7, error, {"more": 1}))["error"]
    assert told["code"] == code
    if isinstance(data, str):
        assert [given["id"] for given in told["data"]["reasons"]] == [data]
    else:
        assert told["data"] == data


def test_other_errors_are_not_told() -> None:
    """They are for the last resort."""
    with pytest.raises(UpstreamFailed):
        error_of(1, UpstreamFailed("x"), {})


def test_every_fault_of_the_table_has_a_code_of_its_own() -> None:
    """Clients can tell them apart; none uses the codes MCP or client libraries keep."""
    faults = {reason_id for reason_id, kind in REASONS.items() if kind.fault}
    assert faults == set(FAULT_CODES)
    assert len(set(FAULT_CODES.values())) == len(FAULT_CODES)
    assert all(-32019 <= code <= -32010 for code in FAULT_CODES.values())


def test_a_fault_tells_reasons_and_identity() -> None:
    """The first known reason gives the code."""
    given = (reason("default-deny"), reason("killed"))
    error = json.loads(fault_object(given, {"step_id": "stp_1"}))
    assert (error["code"], error["data"]["step_id"]) == (-32011, "stp_1")
    assert len(error["data"]["reasons"]) == 2
