"""Approvals: an operator's yes or no to one exact request, good for one use."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from proxy.model.call import TOOL_USE, ToolCall
from proxy.model.decision import Reason
from proxy.model.kill import Scope, scopes_of
from proxy.model.tool import Effect

# W3C Trace Context, Baggage and an agent's name for its attempt in MCP's `_meta`: they differ at
# every attempt and decide nothing.
_TRACE = frozenset({"traceparent", "tracestate", "baggage", TOOL_USE})


class ApprovalState(StrEnum):
    """Life of an approval: pending, then denied, or approved and at most once used.

    What is pending or approved becomes expired with its time, and as soon as a kill or a lift that
    covers it is newer than the question.
    """

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    USED = "used"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Binding:
    """What an approval is good for; a call that differs in any of these needs its own.

    `request_sha256` is the hex SHA-256 of `sent_by(call)`.
    """

    tenant: str
    agent: str
    resource_id: str
    request_sha256: str
    tool_pin: str
    policy_revision: str


@dataclass(frozen=True, slots=True)
class Approval:
    """One question to the operators. `epoch` is the kill epoch the held call was admitted under.

    `request` is the RFC 8785 object of everything the tool would get; what the tool's schema calls
    secret is redacted in it. The hash in the binding is that of the whole.
    """

    id: str
    binding: Binding
    session_id: str
    epoch: int
    effect: Effect
    risk: int
    reasons: tuple[Reason, ...]
    request: bytes
    asked_at: datetime
    expires_at: datetime
    state: ApprovalState = ApprovalState.PENDING
    decided_by: str = ""
    decided_at: datetime | None = None
    note: str = ""

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The kill scopes the held call stood under."""
        binding = self.binding
        return scopes_of(binding.tenant, binding.agent, self.session_id, binding.resource_id)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What an operator says to a pending approval: APPROVED or DENIED, with an optional note."""

    approval_id: str
    state: ApprovalState
    by: str
    note: str
    at: datetime


def sent_by(call: ToolCall) -> bytes:
    """Return everything the tool would get as one RFC 8785 object, trace context aside.

    Members that are empty are left out.
    """
    members = {b"arguments": call.arguments, b"extras": call.extras}
    if call.round is not None:
        members[b"input_responses"] = call.round.responses
    members[b"meta"] = _untraced(call.meta)
    if call.round is not None and call.round.state is not None:
        members[b"request_state"] = _text(call.round.state)
    members |= {b"server": _text(call.server), b"tool": _text(call.tool)}
    present = (
        b'"%b":%b' % (name, value)
        for name, value in members.items()
        if value != b"{}" or name == b"arguments"
    )
    return b"{" + b",".join(present) + b"}"


def sha256_of(sent: bytes) -> str:
    """Return the hex SHA-256 of what `sent_by` gives."""
    return hashlib.sha256(sent).hexdigest()


def _untraced(meta: bytes) -> bytes:
    if meta == b"{}":
        return meta
    members = json.loads(meta)
    if members.keys().isdisjoint(_TRACE):
        return meta
    kept = {name: value for name, value in members.items() if name not in _TRACE}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _text(value: str) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
