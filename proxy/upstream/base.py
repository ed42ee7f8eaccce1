"""The upstream port: a server that has tools."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from proxy.model.tool import ToolDefinition, ToolManifest


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """One call as it leaves: canonical arguments, and the lease's headers (never shown).

    `idempotency_key` goes to tools whose recovery is idempotency_key.
    """

    manifest: ToolManifest
    arguments: bytes
    timeout_s: float
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamResult:
    """The tool's answer: JSON bytes. `is_error`: the tool itself reports a failure.

    For MCP the JSON is the CallToolResult; for HTTP it is `{"status": 200, "body": …}`.
    """

    result: bytes
    is_error: bool = False


class Upstream(Protocol):
    """A configured server. `kind` is "mcp" or "http"."""

    name: str
    kind: str

    async def start(self) -> None:
        """Connect or spawn. Raises UpstreamFailed when it cannot be had now."""
        ...

    async def stop(self) -> None:
        """Let go of everything that start and calls took."""
        ...

    async def definitions(self) -> tuple[ToolDefinition, ...]:
        """Return the tools as the server defines them now. Raises UpstreamFailed."""
        ...

    async def call(self, call: UpstreamCall, sending: Callable[[], None]) -> UpstreamResult:
        """Make one call.

        `sending` is called once, synchronously, right before the first byte of the call is handed
        to the socket or pipe; what it raises ends the call with 0 bytes sent. Cancelling the task
        cancels upstream as far as the protocol can. Raises UpstreamFailed when the call had no
        effect, OutcomeUnknown when bytes left and no answer came.
        """
        ...
