"""JSON-RPC 2.0 messages as bytes: what they carry is spliced in and cut out, never re-serialised.

Messages that come in are parsed strictly (UTF-8, no NaN, no Infinity). What is passed on keeps its
own text, in which numbers are spelled as they were.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from proxy.model.json_text import Member, members_of, one_line
from proxy.model.mcp import RpcReply

METHOD_NOT_FOUND = -32601
_ABSENT = Member(None, "")


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
    in an answer. `raw` is the JSON text of what it carries: params ("{}" when there are none),
    result or the error object, on one line.
    """

    id: int | str | None = None
    method: str | None = None
    result: Any = None
    error: RpcError | None = None
    params: Any = field(default=None, compare=False)
    raw: bytes = field(default=b"", compare=False, repr=False)

    @property
    def is_answer(self) -> bool:
        """Whether this answers a request of ours."""
        return self.method is None

    @property
    def is_request(self) -> bool:
        """Whether the server asks something."""
        return self.method is not None and self.id is not None

    def param(self, name: str) -> Any:
        """Return a member of the params, None when there is none."""
        return self.params.get(name) if isinstance(self.params, dict) else None


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


def error_object(code: int, message: str) -> bytes:
    """Return a JSON-RPC error object."""
    return dumps({"code": code, "message": message})


NOT_FOUND = RpcReply(error=error_object(METHOD_NOT_FOUND, "Method not found"))


def answer(asked: Message, reply: RpcReply) -> bytes:
    """Return the answer to what a server asked of us, on one line."""
    kind, text = (b"error", reply.error) if reply.result is None else (b"result", reply.result)
    carried = one_line((text or b"{}").decode()).encode()
    return b'{"jsonrpc":"2.0","id":%b,"%b":%b}' % (dumps(asked.id), kind, carried)


def own_reply(asked: Message) -> RpcReply:
    """Return what we answer ourselves: a ping is answered, everything else is not there."""
    return RpcReply(result=b"{}") if asked.method == "ping" else NOT_FOUND


def parse(data: bytes) -> Message:
    """Return the message in `data`. Raises ValueError for anything that is not one."""
    found = members_of(data.decode())
    if found.get("jsonrpc", _ABSENT).value != "2.0":
        raise ValueError("not a JSON-RPC 2.0 message")
    number = found.get("id", _ABSENT).value
    if number is not None and type(number) not in {int, str}:
        raise ValueError("an id is a whole number or a string")
    if "method" in found:
        return _said(number, found)
    if ("result" in found) == ("error" in found):
        raise ValueError("an answer has either a result or an error")
    if "result" in found:
        one = found["result"]
        return Message(number, result=one.value, raw=one.text.encode())
    one = found["error"]
    return Message(number, error=_error(one.value), raw=one.text.encode())


def _said(number: int | str | None, found: dict[str, Member]) -> Message:
    """Return a request or a notification."""
    method = found["method"].value
    if not isinstance(method, str):
        raise ValueError("a method is a string")  # noqa: TRY004 as told
    params = found.get("params", _ABSENT)
    raw = params.text.encode() if isinstance(params.value, dict) else b"{}"
    return Message(number, method, params=params.value, raw=raw)


def _error(found: Any) -> RpcError:
    if not isinstance(found, dict) or type(found.get("code")) is not int:
        raise ValueError("an error has a code")
    return RpcError(found["code"], str(found.get("message", "")))
