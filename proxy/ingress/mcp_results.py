"""What MCP clients get back: tool lists and answers as CallToolResults.

A tool's own result goes through as it came; only `_meta` and `resultType` are ours to write.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from proxy.ingress.jsonrpc import RequestId, dumps, fault_reply, result_reply
from proxy.ingress.mcp_names import joined_name
from proxy.model.reasons import kind_of
from proxy.model.step import Answer
from proxy.pipeline.visible import VisibleTool

META_PREFIX = "io.detent/"

_COMPLETE = {"resultType": '"complete"'}
_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\n\r]*")


def call_reply(request_id: RequestId | None, answer: Answer, stamp: dict[str, Any] | None) -> bytes:
    """Return the response to a tools/call.

    `stamp` is what `_meta` of every result carries in the stateless era, None in the other.
    Faults become JSON-RPC errors, every other refusal an `isError` result the model can read.
    """
    if answer.result is not None:
        result = _tool_result(answer.result, _meta(answer), answer.is_error, stamp)
    elif answer.preview is not None:
        preview = _text(answer.preview)
        told = f"Dry run: nothing was sent. This is the call that would be made: {preview}"
        result = _own_result(told, preview, False, _meta(answer), stamp)
    elif answer.reasons and kind_of(answer.reasons).fault:
        return fault_reply(request_id, answer.reasons, _identity(answer))
    else:
        result = _own_result(_refusal_text(answer), None, True, _meta(answer), stamp)
    return result_reply(request_id, result)


def tools_result(
    tools: Iterable[VisibleTool],
    *,
    aggregated: bool,
    with_output: bool,
    stamp: dict[str, Any] | None,
) -> bytes:
    """Return a ListToolsResult: definitions as their servers give them.

    Aggregated lists join server and tool into one name; tools that name cannot be told apart by
    are left out. Without `with_output` no outputSchema is shown: previews would not fit it.
    """
    shown = []
    for tool in tools:
        name = joined_name(tool.server, tool.definition.name) if aggregated else None
        if aggregated and name is None:
            continue
        members = members_of(tool.definition.raw) or {}
        if name is not None:
            members["name"] = json.dumps(name)
        if not with_output:
            members.pop("outputSchema", None)
        shown.append(_object(members))
    result = {"tools": "[" + ",".join(shown) + "]"}
    if stamp is not None:
        fresh = {"ttlMs": "0", "cacheScope": '"private"', "_meta": _text(stamp)}
        result |= _COMPLETE | fresh
    return _object(result).encode()


def members_of(document: bytes) -> dict[str, str] | None:
    """Split a JSON object into its members' own text, None when it is no object.

    Keeps every number and string spelled as it was.
    """
    try:
        text = document.decode()
        return _split(text) if text[_skip(text, 0)] == "{" else None
    except (ValueError, IndexError, RecursionError):
        return None


def _split(text: str) -> dict[str, str]:
    members: dict[str, str] = {}
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _, end = _DECODER.raw_decode(text, start)
        members[key] = text[start:end]
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _tool_result(
    raw: bytes, meta: dict[str, Any], is_error: bool, stamp: dict[str, Any] | None
) -> bytes:
    members = members_of(raw)
    if members is None or "content" not in members:
        text = raw.decode(errors="replace")
        return _own_result(text, None if members is None else text, is_error, meta, stamp)
    own = {**(stamp or {}), **meta}
    theirs = members_of(members.get("_meta", "").encode())
    members["_meta"] = _merged(theirs, own) if theirs else _text(own)
    members.pop("resultType", None)
    return _object(members | _COMPLETE if stamp is not None else members).encode()


def _merged(theirs: dict[str, str], own: dict[str, Any]) -> str:
    """Return a `_meta` with an upstream's keys and ours; it cannot speak under our prefix."""
    kept = {key: value for key, value in theirs.items() if not key.startswith(META_PREFIX)}
    return _object(kept | _texts(own))


def _own_result(
    text: str,
    structured: str | None,
    is_error: bool,
    meta: dict[str, Any],
    stamp: dict[str, Any] | None,
) -> bytes:
    """Return a CallToolResult around a text; `structured` is the JSON text of an object."""
    result = _texts({"content": [{"type": "text", "text": text}], "isError": is_error})
    if structured is not None:
        result["structuredContent"] = structured
    result["_meta"] = _text({**(stamp or {}), **meta})
    return _object(result | _COMPLETE if stamp is not None else result).encode()


def _meta(answer: Answer) -> dict[str, Any]:
    known = {"verdict": answer.verdict, **_identity(answer)}
    if answer.reasons:
        known["reasons"] = [given.id for given in answer.reasons]
    return {META_PREFIX + name: value for name, value in known.items()}


def _identity(answer: Answer) -> dict[str, Any]:
    return {
        "step_id": answer.step_id,
        "decision_id": answer.decision_id,
        "policy_revision": answer.policy_revision,
        "outcome": answer.outcome.value,
    }


def _refusal_text(answer: Answer) -> str:
    told = "\n".join(f"- {given.message} ({given.id})" for given in answer.reasons)
    return (
        f"Detent: this call ended as {answer.outcome.value} (verdict {answer.verdict}).\n{told}\n"
        f"Step {answer.step_id}."
    )


def _object(members: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in members.items()) + "}"


def _texts(members: dict[str, Any]) -> dict[str, str]:
    return {key: _text(value) for key, value in members.items()}


def _text(value: Any) -> str:
    return dumps(value).decode()
