"""What MCP clients get back for a call: results and errors in the form of their era.

A server's own result goes through as it came; `_meta` and what the client's era demands of every
result (MCP 2026-07-28, result type and caching) are ours to write.
"""

from typing import Any

from proxy.ingress.jsonrpc import (
    FAULT_CODES,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    dumps,
    error_object,
    fault_object,
)
from proxy.model.json_text import object_of, string_of, texts_of
from proxy.model.mcp import RpcReply
from proxy.model.reasons import kind_of
from proxy.model.step import Answer

META_PREFIX = "io.detent/"

Stamp = dict[str, Any] | None  # what `_meta` of every result has in the stateless era, else None

_CACHEABLE = frozenset(
    {"prompts/list", "resources/list", "resources/read", "resources/templates/list", "tools/list"}
)
_OF_A_CALL = ("content", "task", "resultType")  # members only an MCP server's result has
_METHOD_CODES = {
    "arguments-invalid": INVALID_PARAMS,
    "outcome-unknown": INTERNAL_ERROR,
    "unknown-tool": METHOD_NOT_FOUND,
    "upstream-failed": INTERNAL_ERROR,
}
# Codes that only the handshake era has, as the other one says the same (base protocol, errors).
_LATER_CODES = {"-32002": str(INVALID_PARAMS), "-32042": str(INTERNAL_ERROR)}
_STATUS = {
    "-32700": 400,
    "-32600": 400,
    "-32601": 404,
    "-32602": 400,
    "-32020": 400,
    "-32021": 400,
    "-32022": 400,
}


def tool_reply(answer: Answer, stamp: Stamp) -> RpcReply:
    """Return what answers a tools/call.

    Faults and the server's own errors are JSON-RPC errors, every other refusal an `isError` result
    the model can read.
    """
    if answer.result is not None:
        return _said(answer.result, answer, stamp)
    if answer.preview is not None:
        preview = _text(answer.preview)
        told = f"Dry run: nothing was sent. This is the call that would be made: {preview}"
        return _own_result(told, preview, answer, stamp, is_error=False)
    if answer.reasons and kind_of(answer.reasons).fault:
        return RpcReply(error=fault_object(answer.reasons, _identity(answer)))
    return _own_result(_refusal_text(answer), None, answer, stamp, is_error=True)


def method_reply(method: str, answer: Answer, stamp: Stamp) -> RpcReply:
    """Return what answers any other method: a result, or a JSON-RPC error with the reasons.

    A method that has no entry in the manifest does not exist.
    """
    if answer.preview is not None:
        meta = _meta(answer) | {META_PREFIX + "preview": answer.preview}
        return RpcReply(result=finished({}, meta, stamp))
    if answer.result is None:
        codes = FAULT_CODES | _METHOD_CODES
        return RpcReply(error=fault_object(answer.reasons, _identity(answer), codes))
    if answer.is_rpc_error:
        return RpcReply(error=_error(answer.result, stamp))
    members = texts_of(answer.result)
    if members is None:
        return RpcReply(error=error_object(INTERNAL_ERROR, "The server gave no result."))
    shown = cached(method, _final(members), stamp)
    # An empty result stays empty in the handshake era: some clients take it for nothing else.
    own = _meta(answer) if shown or stamp is not None else {}
    return RpcReply(result=finished(shown, own, stamp))


def input_required(answer: Answer, state: str, stamp: Stamp) -> RpcReply:
    """Return a server's InputRequiredResult with our own request state in place of its own."""
    members = texts_of(answer.result or b"") or {}
    members["requestState"] = _text(state)
    return RpcReply(result=finished(members, _meta(answer), stamp))


def status_of(reply: RpcReply) -> int:
    """Return the HTTP status of a reply in the stateless era, where some errors have their own."""
    error = texts_of(reply.error or b"") or {}
    return _STATUS.get(error.get("code", ""), 200)


def cached(method: str, members: dict[str, str], stamp: Stamp) -> dict[str, str]:
    """Add the caching hints the stateless era wants of some results.

    Whatever a server says, what it gives one principal is not for others: policy filters.
    """
    if stamp is None or method not in _CACHEABLE:
        return members
    fresh = members.get("ttlMs", "")
    hints = {"ttlMs": fresh if fresh.isdigit() else "0", "cacheScope": '"private"'}
    return members | hints


def finished(members: dict[str, str], own: dict[str, Any], stamp: Stamp) -> bytes:
    """Return a result whose `_meta` has our members beside the server's, typed for its era."""
    own = {**(stamp or {}), **own}
    shown = dict(members)
    if "_meta" in members:
        theirs = texts_of(members["_meta"]) or {}
        kept = {key: value for key, value in theirs.items() if not key.startswith(META_PREFIX)}
        shown["_meta"] = object_of(kept | {key: _text(value) for key, value in own.items()})
    elif own:
        shown["_meta"] = _text(own)
    if stamp is not None:
        shown.setdefault("resultType", '"complete"')
    elif shown.get("resultType") == '"complete"':
        del shown["resultType"]
    return object_of(shown).encode()


def _said(raw: bytes, answer: Answer, stamp: Stamp) -> RpcReply:
    """Return what the tool said; an HTTP service's answer is wrapped."""
    if answer.is_rpc_error:
        return RpcReply(error=_error(raw, stamp))
    members = texts_of(raw)
    if members is not None and any(name in members for name in _OF_A_CALL):
        return RpcReply(result=finished(_final(members), _meta(answer), stamp))
    text = raw.decode(errors="replace")
    structured = None if members is None else text
    return _own_result(text, structured, answer, stamp, is_error=answer.is_error)


def _final(members: dict[str, str]) -> dict[str, str]:
    """Return a result that asks for nothing: what does has another outcome, and is sealed."""
    asks = string_of(members.get("resultType")) == "input_required"
    return {k: v for k, v in members.items() if k != "resultType"} if asks else members


def _error(raw: bytes, stamp: Stamp) -> bytes:
    """Return a server's error as it is, but with no code that the client's era has not."""
    members = texts_of(raw)
    if members is None or stamp is None:
        return raw
    code = members.get("code", "")
    return object_of(members | {"code": _LATER_CODES.get(code, code)}).encode()


def _own_result(
    text: str, structured: str | None, answer: Answer, stamp: Stamp, *, is_error: bool
) -> RpcReply:
    """Return a CallToolResult around a text; `structured` is the JSON text of an object."""
    content = _text([{"type": "text", "text": text}])
    result = {"content": content, "isError": _text(is_error)}
    if structured is not None:
        result["structuredContent"] = structured
    return RpcReply(result=finished(result, _meta(answer), stamp))


def _meta(answer: Answer) -> dict[str, Any]:
    known = {"verdict": answer.verdict, **_identity(answer)}
    if answer.reasons:
        known["reasons"] = [given.id for given in answer.reasons]
    return {META_PREFIX + name: value for name, value in known.items()}


def _identity(answer: Answer) -> dict[str, Any]:
    known: dict[str, Any] = {
        "step_id": answer.step_id,
        "decision_id": answer.decision_id,
        "policy_revision": answer.policy_revision,
        "outcome": answer.outcome,
    }
    return known if answer.approval is None else known | {"approval": answer.approval}


def _refusal_text(answer: Answer) -> str:
    told = "\n".join(f"- {given.message} ({given.id})" for given in answer.reasons)
    return (
        f"Detent: this call ended as {answer.outcome.value} (verdict {answer.verdict}).\n{told}\n"
        f"Step {answer.step_id}."
    )


def _text(value: Any) -> str:
    return dumps(value).decode()
