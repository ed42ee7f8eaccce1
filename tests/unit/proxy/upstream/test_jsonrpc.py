"""JSON-RPC messages as bytes."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.model.mcp import RpcReply
from proxy.upstream.jsonrpc import (
    NOT_FOUND,
    Message,
    RpcError,
    answer,
    dumps,
    error_object,
    loads,
    notification,
    own_reply,
    parse,
    request,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(), VALUES))
def test_params_stand_in_a_request_byte_for_byte(arguments: dict[str, Any]) -> None:
    """What was canonical before is the same bytes within the request."""
    try:
        canonical = rfc8785.dumps(arguments)
    except rfc8785.CanonicalizationError:  # a lone surrogate is no canonical JSON
        return
    sent = request(7, "tools/call", canonical)
    assert canonical in sent
    assert b"\n" not in sent
    assert json.loads(sent) == {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": arguments,
    }


def test_a_notification_has_no_id() -> None:
    """With and without params."""
    assert json.loads(notification("a")) == {"jsonrpc": "2.0", "method": "a"}
    assert json.loads(notification("a", b"{}")) == {"jsonrpc": "2.0", "method": "a", "params": {}}


def test_a_ping_is_answered() -> None:
    """The one request of a server that is answered by us, with its own id."""
    asked = Message('x"', "ping")
    answered = json.loads(answer(asked, own_reply(asked)))
    assert answered == {"jsonrpc": "2.0", "id": 'x"', "result": {}}


def test_other_requests_of_a_server_are_not_there() -> None:
    """Unless a client answers them, they get method-not-found."""
    asked = Message(3, "sampling/createMessage")
    assert own_reply(asked) == NOT_FOUND
    answered = json.loads(answer(asked, own_reply(asked)))
    assert (answered["id"], answered["error"]["code"]) == (3, -32601)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (RpcReply(result=b'{"a":1.0,\n"b":"\\n"}'), b'"result":{"a":1.0, "b":"\\n"}}'),
        (RpcReply(error=error_object(-1, "é")), '"error":{"code":-1,"message":"é"}}'.encode()),
        (RpcReply(), b'"error":{}}'),
    ],
)
def test_an_answer_carries_what_the_client_said(reply: RpcReply, expected: bytes) -> None:
    """Result or error, in its own text, on one line."""
    answered = answer(Message(3, "roots/list"), reply)
    assert answered.endswith(expected)
    assert b"\n" not in answered


@pytest.mark.parametrize(
    ("data", "raw"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":{"a":1.0,\r\n"b":1e2}}', b'{"a":1.0,  "b":1e2}'),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"data":1.0}}', b'{"code":-1,"data":1.0}'),
        (b'{"jsonrpc":"2.0","method":"n","params":{"a":1.0}}', b'{"a":1.0}'),
        (b'{"jsonrpc":"2.0","method":"n","params":[1]}', b"{}"),
        (b'{"jsonrpc":"2.0","method":"n"}', b"{}"),
    ],
)
def test_what_a_message_carries_keeps_its_text(data: bytes, raw: bytes) -> None:
    """Result, error and params as they were written; params that are none are empty."""
    assert parse(data).raw == raw


def test_a_message_says_what_it_is() -> None:
    """Answer, request or notification; its params can be looked up."""
    asked = Message(1, "a", params={"x": 1})
    assert (asked.is_request, asked.is_answer, asked.param("x"), asked.param("y")) == (
        True,
        False,
        1,
        None,
    )
    assert not Message(method="a", params=[1]).is_request
    assert Message(method="a", params=[1]).param("x") is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":{"a":1}}', Message(1, result={"a": 1})),
        (
            b'{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}',
            Message(error=RpcError(-1, "m")),
        ),
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":-1}}', Message(1, error=RpcError(-1, ""))),
        (b'{"jsonrpc":"2.0","id":"a","method":"ping"}', Message("a", "ping")),
        (b'{"jsonrpc":"2.0","method":"n","params":[]}', Message(method="n")),
    ],
)
def test_messages_are_told_apart(data: bytes, message: Message) -> None:
    """Answers, errors, requests and notifications."""
    assert parse(data) == message
    assert message.is_answer == (message.method is None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"jsonrpc":"1.0","id":1,"result":1}',
        b'{"jsonrpc":"2.0","id":1.0,"result":1}',
        b'{"jsonrpc":"2.0","id":true,"result":1}',
        b'{"jsonrpc":"2.0","id":{},"method":"a"}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1}}',
        b'{"jsonrpc":"2.0","id":1,"error":"no"}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":"1"}}',
        b'{"jsonrpc":"2.0","method":1}',
        b'{"jsonrpc":"2.0","id":1,"result":NaN}',
        b'{"jsonrpc":"2.0","id":1,"result":-Infinity}',
        b'{"jsonrpc":"2.0","id":1,"result":"\xff"}',
        '{"jsonrpc":"2.0","id":1,"result":1}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":1,"result":' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_not_a_message_is_refused(data: bytes) -> None:
    """Broken JSON, batches, odd ids and half answers."""
    with pytest.raises(ValueError, match=r".*"):
        parse(data)


def test_results_are_written_again_in_utf8() -> None:
    """A lone surrogate does not break the answer."""
    assert dumps(loads(rb'{"a":"\ud800","b":"\u00e9"}')) == '{"a":"?","b":"é"}'.encode()


def test_a_number_beyond_json_is_not_written() -> None:
    """1e400 reads as infinity, which is no JSON."""
    with pytest.raises(ValueError, match="JSON"):
        dumps(loads(b"1e400"))


@pytest.mark.parametrize("data", [b"NaN", b"[" * 100_000, b"\xff", b"{"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    """Constants that are none, nesting without end, other encodings."""
    with pytest.raises(ValueError, match=r".*"):
        loads(data)
