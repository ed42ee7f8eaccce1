"""A tool call in its only form: canonical bytes that are decided on, hashed and forwarded."""

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum


class Door(StrEnum):
    """The way a call came in."""

    CALLS = "calls"
    MCP = "mcp"
    HTTP = "http"
    HOOKS = "hooks"


TOOLS_CALL = "tools/call"
TOOL_USE = "claudecode/toolUseId"


@dataclass(frozen=True, slots=True)
class Round:
    """A later round of a call whose tool asked for input (MCP 2026-07-28, multi round-trip).

    `responses` is the client's `inputResponses` as an RFC 8785 object, `state` the tool's own
    `requestState`. `step_id` names the step of the first round, `number` counts from 2.
    """

    step_id: str
    number: int
    responses: bytes = b"{}"
    state: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call as every stage sees it; the agent's own bytes are gone.

    `arguments` is an RFC 8785 JSON object. The policy decides on these bytes and the tool receives
    these bytes, so nothing can change between the two.

    An MCP method other than tools/call has its own name as `tool`, which holds a slash, and its
    params as `arguments`. `extras` are the other members of a tools/call's params, `meta` those
    of `_meta` that belong to neither the protocol nor Detent: RFC 8785 objects, decided on and
    forwarded like arguments.

    `resource_id` is `server/tool`, the name policies, kills and manifests use; `arguments_sha256`
    the hex SHA-256 of the canonical arguments (RFC 8785 section 3).
    """

    server: str
    tool: str
    arguments: bytes
    door: Door
    dry_run: bool = False
    idempotency_key: str | None = None
    urls: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    extras: bytes = b"{}"
    meta: bytes = b"{}"
    round: Round | None = None
    resource_id: str = field(init=False)
    arguments_sha256: str = field(init=False)

    def __post_init__(self) -> None:
        """Work out once what every stage asks for."""
        object.__setattr__(self, "resource_id", f"{self.server}/{self.tool}")
        digest = hashlib.sha256(self.arguments).hexdigest()
        object.__setattr__(self, "arguments_sha256", digest)

    @property
    def method(self) -> str:
        """The MCP method: tools/call unless `tool` is a method itself."""
        return self.tool if "/" in self.tool else TOOLS_CALL

    @property
    def tool_use_id(self) -> str:
        """The agent's own name for this call in `_meta`, as its hooks say it too; empty if none."""
        if TOOL_USE.encode() not in self.meta:
            return ""
        named = json.loads(self.meta).get(TOOL_USE)
        return named if isinstance(named, str) else ""

    @property
    def request_sha256(self) -> str:
        """Hex SHA-256 over tool, arguments and extras: what an idempotency key is bound to.

        `meta` stays out: trace ids differ from one attempt to the next.
        """
        digest = hashlib.sha256(f"{self.server}\0{self.tool}\0".encode())
        digest.update(self.arguments)
        if self.extras != b"{}":
            digest.update(b"\0" + self.extras)
        return digest.hexdigest()
