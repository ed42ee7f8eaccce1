"""JSON-RPC 2.0 messages as bytes. What a call's arguments are is spliced in, never re-serialised.

Messages that come in are parsed strictly (UTF-8, no NaN, no Infinity) and written again, so that
everyone behind the gateway reads one meaning of them.
"""

import json
from dataclasses import dataclass
from typing import Any

METHOD_NOT_FOUND = -32601


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class RpcError:
    """The error member of an answer."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message. A request has method and id, a notification only a method, an answer only an id.

    `id` is None where the sender said null or nothing. Exactly one of `result` and `error` is set
    in an answer.
    """

    id: int | str | None = None
    method: str | None = None
    result: Any = None
    error: RpcError | None = None

    @property
    def is_answer(self) -> bool:
        """Whether this answers a request of ours."""
        return self.method is None


def loads(data: bytes) -> Any:
    """Return the value of one JSON text (RFC 8259). Raises ValueError."""
    try:
        return _DECODER.decode(data.decode())
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep


def dumps(value: Any) -> bytes:
    """Return compact JSON in UTF-8; a lone surrogate becomes `?`. Raises ValueError."""
    return _ENCODER.encode(value).encode(errors="replace")


def request(number: int, method: str, params: bytes) -> bytes:
    """Return a request; `params` is a JSON object."""
    return b'{"jsonrpc":"2.0","id":%d,"method":%b,"params":%b}' % (number, dumps(method), params)


def notification(method: str, params: bytes | None = None) -> bytes:
    """Return a notification; `params` is a JSON object."""
    tail = b"" if params is None else b',"params":' + params
    return b'{"jsonrpc":"2.0","method":%b%b}' % (dumps(method), tail)


def reply(asked: Message) -> bytes:
    """Answer what a server asks of us: a ping is answered, everything else is not there."""
    if asked.method == "ping":
        return b'{"jsonrpc":"2.0","id":%b,"result":{}}' % dumps(asked.id)
    error = dumps({"code": METHOD_NOT_FOUND, "message": "Method not found"})
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (dumps(asked.id), error)


def parse(data: bytes) -> Message:
    """Return the message in `data`. Raises ValueError for anything that is not one."""
    found = loads(data)
    if not isinstance(found, dict) or found.get("jsonrpc") != "2.0":
        raise ValueError("not a JSON-RPC 2.0 message")
    number = found.get("id")
    if number is not None and type(number) not in {int, str}:
        raise ValueError("an id is a whole number or a string")
    if "method" in found:
        if not isinstance(found["method"], str):
            raise ValueError("a method is a string")
        return Message(number, found["method"])
    if ("result" in found) == ("error" in found):
        raise ValueError("an answer has either a result or an error")
    if "result" in found:
        return Message(number, result=found["result"])
    return Message(number, error=_error(found["error"]))


def _error(found: Any) -> RpcError:
    if not isinstance(found, dict) or type(found.get("code")) is not int:
        raise ValueError("an error has a code")
    return RpcError(found["code"], str(found.get("message", "")))
