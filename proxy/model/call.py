"""A tool call in its only form: canonical bytes that are decided on, hashed and forwarded."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum


class Door(StrEnum):
    """The way a call came in."""

    CALLS = "calls"
    MCP = "mcp"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call as every stage sees it; the agent's own bytes are gone.

    `arguments` is an RFC 8785 JSON object. The policy decides on these bytes and the tool receives
    these bytes, so nothing can change between the two.
    """

    server: str
    tool: str
    arguments: bytes
    door: Door
    dry_run: bool = False
    idempotency_key: str | None = None
    urls: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def resource_id(self) -> str:
        """`server/tool`, the name policies, kills and manifests use."""
        return f"{self.server}/{self.tool}"

    @property
    def arguments_sha256(self) -> str:
        """Hex SHA-256 of the canonical arguments (RFC 8785 section 3)."""
        return hashlib.sha256(self.arguments).hexdigest()

    @property
    def request_sha256(self) -> str:
        """Hex SHA-256 over tool and arguments: what an idempotency key is bound to."""
        digest = hashlib.sha256(f"{self.server}\0{self.tool}\0".encode())
        digest.update(self.arguments)
        return digest.hexdigest()
