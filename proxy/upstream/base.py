"""The upstream port: a server that has tools."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from proxy.model.call import TOOLS_CALL, Round
from proxy.model.mcp import Notification
from proxy.model.tool import ToolDefinition, ToolManifest
from proxy.upstream.conversation import Conversation, Silence


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """One call as it leaves: canonical arguments, and the lease's headers (never shown).

    `idempotency_key` goes to tools whose recovery is idempotency_key. `method`, `extras`, `meta`
    and `round` are those of ToolCall; `conversation` is the client's end.
    """

    manifest: ToolManifest
    arguments: bytes
    timeout_s: float
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    idempotency_key: str = ""
    method: str = TOOLS_CALL
    extras: bytes = b"{}"
    meta: bytes = b"{}"
    round: Round | None = None
    conversation: Conversation = field(default_factory=Silence, repr=False)


@dataclass(frozen=True, slots=True)
class UpstreamResult:
    """The tool's answer: JSON bytes. `is_error`: the tool itself reports a failure.

    For MCP the JSON is the method's result; for HTTP it is `{"status": 200, "body": …}`. With
    `is_rpc_error` it is a JSON-RPC error object, as the server wrote it. `needs_input`: the tool
    acts only when the client has answered the `inputRequests` in it. `task_id`: the tool has begun
    a task of that id, which goes on; empty when the task has none.
    """

    result: bytes
    is_error: bool = False
    is_rpc_error: bool = False
    needs_input: bool = False
    task_id: str | None = None


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

        `sending` is called synchronously right before the first byte of the call is handed to the
        socket or pipe, with nothing in between; what it raises ends the call with 0 bytes sent. A
        tool that needs input while its client is asked here is called again, and so is `sending`,
        before every round. Cancelling the task closes the streams of the call at once and cancels
        upstream as far as the protocol can. `timeout_s` bounds all rounds together; it stands still
        while the client is being asked, which has five minutes in all.

        Raises UpstreamFailed when the call had no effect, OutcomeUnknown when bytes left and no
        answer came, and what the conversation raises.
        """
        ...

    def watch(self, session: str) -> AbstractAsyncContextManager[AsyncIterator[Notification]]:
        """Hear what the server says outside of calls to one client's session.

        Lists that changed, and updates of resources this session subscribed to. The same
        notification waits once, and they come at a steady pace, however much a server says (A36).
        Opening never fails: a server that cannot be had is listened to once it can. Leaving the
        block closes what was opened for it.
        """
        ...

    async def forget(self, session: str) -> None:
        """Close what is kept for a client's session that has ended."""
        ...
