"""JSON-RPC 2.0 as MCP uses it: one message a body, ids that are strings or whole numbers."""

import json
import re
from dataclasses import dataclass
from typing import Any

from proxy.errors import BadRequest, DetentError, Refused, StoreUnavailable
from proxy.ingress.strict_json import parse
from proxy.model.decision import Reason

INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
CANCELLED = -32800

# Refusals that are faults, in the band -32000..-32019 that MCP leaves to implementations; -32000
# and -32001 are left out, client libraries use them for themselves.
REFUSED = -32010
FAULT_CODES = {
    "arguments-invalid": INVALID_PARAMS,
    "credential-unavailable": -32014,
    "draining": -32015,
    "killed": -32011,
    "not-authenticated": -32017,
    "policy-unavailable": -32012,
    "session-closed": -32016,
    "store-unavailable": -32013,
}

_MEMBERS = frozenset({"jsonrpc", "id", "method", "params"})
_METHOD = re.compile(r"[A-Za-z0-9_$./-]{1,128}")
_MAX_ID_CHARS = 256
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)

RequestId = int | str


@dataclass(frozen=True, slots=True)
class Message:
    """A request, or a notification when `id` is None."""

    id: RequestId | None
    method: str
    params: dict[str, Any]

    @property
    def meta(self) -> dict[str, Any]:
        """`params._meta`, empty when there is none."""
        given: dict[str, Any] = self.params.get("_meta", {})
        return given


def parse_message(body: bytes) -> Message:
    """Read one request or notification.

    Raises BadRequest: the codes of strict_json, batch, not-a-message, unknown-member, invalid-id,
    missing-id, invalid-params, unexpected-response (we never send requests, so none is pending).
    """
    value = parse(body)
    if isinstance(value, list):
        raise _refuse("batch", "Batches are not taken; send one message a request.")
    if not isinstance(value, dict) or value.get("jsonrpc") != "2.0":
        raise _refuse("not-a-message", "The body must be one JSON-RPC 2.0 message.")
    if "method" not in value and ("result" in value or "error" in value):
        raise _refuse("unexpected-response", "No request of the gateway waits for a response.")
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


def error_reply(
    request_id: RequestId | None, code: int, message: str, data: dict[str, Any] | None = None
) -> bytes:
    """Return an error response; its id is null when the request's is not known."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data:
        error["data"] = data
    return dumps({"jsonrpc": "2.0", "id": request_id, "error": error})


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
    return fault_reply(request_id, error.refusal.reasons, more)


def fault_reply(
    request_id: RequestId | None, reasons: tuple[Reason, ...], more: dict[str, Any]
) -> bytes:
    """Return the error response of a refusal, with its reasons and what else is known."""
    code = next((FAULT_CODES[given.id] for given in reasons if given.id in FAULT_CODES), REFUSED)
    data = {"reasons": [{"id": given.id, "message": given.message} for given in reasons], **more}
    return error_reply(request_id, code, " ".join(given.message for given in reasons), data)


def dumps(value: Any) -> bytes:
    """Return compact JSON."""
    return _ENCODER.encode(value).encode()
