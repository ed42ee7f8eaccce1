"""Agents that ask by hooks: what they call their sessions, and what they say of their tool uses."""

import hashlib
from dataclasses import dataclass

from proxy.model.ledger import Outcome


@dataclass(frozen=True, slots=True)
class HookKey:
    """A session by the agent program's own name for it.

    `client` is that program and the server its tools stand under in the manifest: `claude-code`.
    """

    client: str
    session: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """What an agent says became of a tool it ran itself. Nobody else saw it.

    `arguments` are the RFC 8785 bytes it ran with, `result` is JSON. `outcome` is done or failed.
    """

    id: str
    client: str
    tool: str
    arguments: bytes
    result: bytes
    outcome: Outcome

    @property
    def arguments_sha256(self) -> str:
        """Hex SHA-256 of the canonical arguments."""
        return hashlib.sha256(self.arguments).hexdigest()


def claim_of(tool_use_id: str) -> str:
    """Return the idempotency key of a tool use; no client can send one: theirs have no tab."""
    return f"tool use\t{tool_use_id}"
