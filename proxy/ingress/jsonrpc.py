"""JSON-RPC 2.0 as MCP uses it: one message a body, ids that are strings or whole numbers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from proxy.errors import BadRequest, DetentError, Refused, StoreUnavailable
from proxy.ingress.canonical import canonical_arguments
from proxy.ingress.strict_json import parse
from proxy.model.decision import Reason
from proxy.model.mcp import RpcReply

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
CANCELLED = -32800

# Refusals that are faults, in the band -32000..-32019 that MCP leaves to implementations; -32000
# and -32001 are left out, client libraries use them for themselves.
REFUSED = -32010
FAULT_CODES = {
    "credential-unavailable": -32014,
    "draining": -32015,
    "identity-unavailable": -32018,
    "kill-lease-expired": -32019,
    "killed": -32011,
    "not-authenticated": -32017,
    "policy-unavailable": -32012,
    "session-closed": -32016,
    "store-unavailable": -32013,
}

_MEMBERS = frozenset({"jsonrpc", "id", "method", "params"})
_METHOD = re.compile(r"[A-Za-z0-9_$./-]{1,128}")
_MAX_ID_CHARS = 256

RequestId = int | str


@dataclass(frozen=True, slots=True)
class Message:
    """A request, or a notification when `id` is None. `meta`: `params._meta`, or empty."""

    id: RequestId | None
    method: str
    params: dict[str, Any]
    meta: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        """Find what everybody asks for."""
        object.__setattr__(self, "meta", self.params.get("_meta", {}))


@dataclass(frozen=True, slots=True)
class Response:
    """What a client answers to a request of ours; the reply is canonical (RFC 8785)."""

    id: RequestId
    reply: RpcReply


def parse_message(body: bytes) -> Message | Response:
    """Read one request, notification or response.

    Raises BadRequest: the codes of strict_json, batch, not-a-message, unknown-member, invalid-id,
    missing-id, invalid-params, unexpected-response (one that answers nothing that can be asked).
    """
    value = parse(body)
    if isinstance(value, list):
        raise _refuse("batch", "Batches are not taken; send one message a request.")
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise _refuse("not-a-message", "The body must be one JSON-RPC 2.0 message.")
    if "method" not in value and ("result" in value or "error" in value):
        return _response_of(value)
    if not value.keys() <= _MEMBERS:
        raise _refuse("unknown-member", "A message has only jsonrpc, id, method and params.")
    method = value.get("method")
    if not isinstance(method, str) or _METHOD.fullmatch(method) is None:
        raise _refuse("not-a-message", "`method` must be the name of a method.")
    return Message(_id_of(value, method), method, _params_of(value))


def _id_of(message: dict[str, Any], method: str) -> RequestId | None:
    if "id" not in message:
        if not method.startswith("notifications/"):
            raise _refuse("missing-id", "A request needs an id.")
        return None
    given = message["id"]
    if type(given) is int or (isinstance(given, str) and len(given) <= _MAX_ID_CHARS):
        return given
    raise _refuse("invalid-id", "An id is a string or a whole number, never null.")


def _response_of(message: dict[str, Any]) -> Response:
    """Return a response whose id we may have given out, and which has one outcome."""
    request_id, result, error = message.get("id"), message.get("result"), message.get("error")
    if message.keys() == {"jsonrpc", "id", "result"} and isinstance(result, dict):
        reply = RpcReply(result=canonical_arguments(result))
    elif message.keys() == {"jsonrpc", "id", "error"} and _is_error(error):
        reply = RpcReply(error=canonical_arguments(message["error"]))
    else:
        raise unexpected_response()
    if not isinstance(request_id, str):
        raise unexpected_response()
    return Response(request_id, reply)


def _is_error(error: object) -> bool:
    return (
        isinstance(error, dict)
        and error.keys() <= {"code", "message", "data"}
        and type(error.get("code")) is int
        and isinstance(error.get("message"), str)
    )


def unexpected_response() -> BadRequest:
    """Refuse a response that answers no request of ours."""
    return _refuse("unexpected-response", "No request of the gateway waits for this response.")


def _params_of(message: dict[str, Any]) -> dict[str, Any]:
    params = message.get("params", {})
    if not isinstance(params, dict) or not isinstance(params.get("_meta", {}), dict):
        raise BadRequest(
            "invalid-params", "`params` and `_meta` must be objects.", rpc_code=INVALID_PARAMS
        )
    return params


def _refuse(code: str, detail: str) -> BadRequest:
    return BadRequest(code, detail, rpc_code=INVALID_REQUEST)


def result_reply(request_id: RequestId | None, result: bytes) -> bytes:
    """Return a response that carries a result as it is."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (dumps(request_id), result)


def reply_message(request_id: RequestId | None, reply: RpcReply) -> bytes:
    """Return the response that carries a result or an error as it is."""
    if reply.result is not None:
        return result_reply(request_id, reply.result)
    error = reply.error or b"null"
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (dumps(request_id), error)


def request_message(request_id: RequestId, method: str, params: bytes) -> bytes:
    """Return a request to a client; `params` is a JSON object."""
    return b'{"jsonrpc":"2.0","id":%b,"method":%b,"params":%b}' % (
        dumps(request_id),
        dumps(method),
        params,
    )


def notification_message(method: str, params: bytes) -> bytes:
    """Return a notification to a client; `params` is a JSON object."""
    return b'{"jsonrpc":"2.0","method":%b,"params":%b}' % (dumps(method), params)


def error_reply(
    request_id: RequestId | None, code: int, message: str, data: dict[str, Any] | None = None
) -> bytes:
    """Return an error response; its id is null when the request's is not known."""
    return reply_message(request_id, RpcReply(error=error_object(code, message, data)))


def error_object(code: int, message: str, data: dict[str, Any] | None = None) -> bytes:
    """Return the JSON of an error."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data:
        error["data"] = data
    return dumps(error)


def error_of(request_id: RequestId | None, error: DetentError, more: dict[str, Any]) -> bytes:
    """Return the error response of an error of the house; other kinds are raised again.

    `more` goes into its data.
    """
    if isinstance(error, BadRequest):
        data = {"code": error.code, **more}
        return error_reply(request_id, error.rpc_code, error.detail, data)
    if isinstance(error, StoreUnavailable):
        error = Refused.because("store-unavailable")
    if not isinstance(error, Refused):
        raise error
    return reply_message(request_id, RpcReply(error=fault_object(error.refusal.reasons, more)))


def fault_object(
    reasons: tuple[Reason, ...], more: dict[str, Any], codes: Mapping[str, int] = FAULT_CODES
) -> bytes:
    """Return the error a refusal is, with its reasons and what else is known.

    `codes` gives the error code of the first reason it knows; otherwise it is REFUSED.
    """
    code = next((codes[given.id] for given in reasons if given.id in codes), REFUSED)
    data = {"reasons": [{"id": given.id, "message": given.message} for given in reasons], **more}
    return error_object(code, " ".join(given.message for given in reasons), data)


def dumps(value: Any) -> bytes:
    """Return compact JSON."""
    encoded: bytes = to_json(value)
    return encoded
