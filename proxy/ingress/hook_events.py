"""Events of agents with hooks, as Claude Code posts them, and the calls they ask about.

Parsed as strictly as any call, but for what a tool has answered: that is nothing to decide on, and
may hold what no two parsers agree about.
"""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from proxy.errors import BadRequest
from proxy.ingress.canonical import Params, canonical_arguments, make_call, make_mcp_call
from proxy.ingress.mcp_names import split_name
from proxy.ingress.strict_json import parse
from proxy.model.call import TOOL_USE, Door, ToolCall
from proxy.model.hook import ToolUse, claim_of
from proxy.model.ledger import Outcome

PRE, POST, FAILED = "PreToolUse", "PostToolUse", "PostToolUseFailure"
BATCH, SESSION_END = "PostToolBatch", "SessionEnd"
MAX_BATCH = 1_000

_EVENT = re.compile(r"[A-Za-z]{1,64}")
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_OURS = re.compile(r"mcp__detent(?:-([A-Za-z0-9-]{1,63}))?__(.{1,128})")
_TOLD = ("cwd", "permission_mode", "agent_type")
_OF_RESULTS = frozenset({"nul-character", "not-utf8", "number-out-of-range", "too-large"})
_MAX_TOLD_CHARS = 4_096


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One event. `session` is the agent's own name for its session, `document` the whole body."""

    name: str
    session: str
    document: dict[str, Any]

    @property
    def tool_use_id(self) -> str:
        """The agent's name of the tool use. Raises BadRequest."""
        return _id(self.document.get("tool_use_id"), "tool_use_id")

    @property
    def ours(self) -> tuple[str, str] | None:
        """Server and tool of an MCP tool of this gateway, None for every other tool.

        The gateway is known as `detent`, one of its servers as `detent-<server>`.
        """
        name = self.document.get("tool_name")
        parts = _OURS.fullmatch(name) if isinstance(name, str) else None
        if parts is None:
            return None
        return (parts[1], parts[2]) if parts[1] else split_name(parts[2])

    def call(self, client: str) -> ToolCall:
        """Return the canonical call of a tool that the agent runs itself. Raises BadRequest.

        `meta` tells policies where and in which permission mode the agent is.
        """
        call = make_call(client, self._tool, self.document.get("tool_input"), Door.HOOKS)
        told = {name: self.document[name] for name in _TOLD if name in self.document}
        if not all(isinstance(one, str) and len(one) <= _MAX_TOLD_CHARS for one in told.values()):
            raise _invalid("cwd, permission_mode and agent_type are short texts")
        meta, key = canonical_arguments(told), claim_of(self.tool_use_id)
        return replace(call, meta=meta, idempotency_key=key)

    def carried_call(self, server: str, tool: str) -> ToolCall:
        """Return the call as it will come over MCP. Raises BadRequest."""
        meta = {TOOL_USE: self.tool_use_id}
        return make_mcp_call(server, tool, Params(self.document.get("tool_input"), meta=meta))

    def use(self, client: str) -> ToolUse:
        """Return what became of a tool use. Raises BadRequest."""
        failed = self.name == FAILED
        told = {"error": self.document.get("error")} if failed else self.document["tool_response"]
        call = make_call(client, self._tool, self.document.get("tool_input"), Door.HOOKS)
        return ToolUse(
            id=self.tool_use_id,
            client=client,
            tool=call.tool,
            arguments=call.arguments,
            result=json.dumps(told, separators=(",", ":")).encode(),
            outcome=Outcome.FAILED if failed else Outcome.DONE,
        )

    @property
    def batch(self) -> tuple[str, ...]:
        """The tool uses of a batch that is over. Raises BadRequest."""
        calls = self.document.get("tool_calls")
        if not isinstance(calls, list) or len(calls) > MAX_BATCH:
            raise _invalid("tool_calls is a list")
        found = (call.get("tool_use_id") if isinstance(call, dict) else None for call in calls)
        return tuple(_id(one, "tool_use_id") for one in found)

    @property
    def _tool(self) -> object:
        return self.document.get("tool_name")


def event_of(body: bytes) -> HookEvent:
    """Read one event. Raises BadRequest."""
    try:
        document = parse(body)
    except BadRequest as error:
        document = _leniently(body, error)
    if not isinstance(document, dict):
        raise _invalid("an event is an object")
    name = document.get("hook_event_name")
    if not isinstance(name, str) or _EVENT.fullmatch(name) is None:
        raise _invalid("hook_event_name is the name of an event")
    if name == POST and "tool_response" not in document:
        raise _invalid("tool_response is missing")
    return HookEvent(name, _id(document.get("session_id"), "session_id"), document)


def _leniently(body: bytes, error: BadRequest) -> Any:
    """Read what a tool has answered all the same; its own bytes go nowhere."""
    if error.code not in _OF_RESULTS:
        raise error
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise error from None
    if not isinstance(document, dict) or document.get("hook_event_name") not in (POST, FAILED):
        raise error
    rest = {key: value for key, value in document.items() if key not in ("tool_response", "error")}
    answered = {key: document[key] for key in ("tool_response", "error") if key in document}
    return parse(json.dumps(rest).encode()) | answered


def _id(value: object, name: str) -> str:
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise _invalid(f"{name} is 1 to 128 of A-Z a-z 0-9 _ . : -")
    return value


def _invalid(what: str) -> BadRequest:
    return BadRequest("invalid-hook-event", f"This is no hook event: {what}.")
