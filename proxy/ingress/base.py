"""What the doors need of the pipeline; `proxy.pipeline.run.Pipeline` is the one that has it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from proxy.errors import BadRequest
from proxy.model.call import Door, ToolCall
from proxy.model.mcp import Notification
from proxy.model.step import Answer
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.sessions import OpenedSession, SessionRequest
from proxy.pipeline.visible import VisibleTool
from proxy.upstream.conversation import Conversation


class Gate(Protocol):
    """Every way from a door into the house. All methods raise StoreUnavailable."""

    async def authenticate(self, token: str) -> Caller:
        """Return who a bearer token speaks for. Raises Refused."""
        ...

    async def run(
        self, caller: Caller, call: ToolCall, conversation: Conversation | None = None
    ) -> Answer:
        """Take one call down and back; a refusal is an Answer too. May be cancelled.

        `conversation` is the client's end while the call runs; without one it hears nothing.
        """
        ...

    def offered(self, server: str | None) -> frozenset[tuple[str, str]]:
        """Return server and MCP method of every manifest entry, of one server or of all."""
        ...

    def input_schema(self, server: str, tool: str) -> bytes | None:
        """Return the JSON Schema of a tool's arguments as pinned, None when it cannot be called."""
        ...

    def watch(
        self, server: str | None, session: str
    ) -> AbstractAsyncContextManager[AsyncIterator[tuple[str, Notification]]]:
        """Hear what servers say outside of calls to one client's session, with their names."""
        ...

    async def forget(self, session: str) -> None:
        """Let servers close what they keep for a client's session that has ended."""
        ...

    async def visible(self, caller: Caller, server: str | None) -> tuple[VisibleTool, ...]:
        """Return the tools this caller may see, of one server or of all. Raises Refused."""
        ...

    async def reject(self, error: BadRequest, caller: Caller | None, door: Door) -> None:
        """Write the audit record of a request that never became a call."""
        ...

    async def open_session(self, token: str, request: SessionRequest) -> OpenedSession:
        """Open an explicit session for an agent's token. Raises Refused."""
        ...

    async def end_session(self, caller: Caller, session_id: str) -> None:
        """End a session of this caller. Raises Refused."""
        ...

    def stream(self, caller: Caller) -> AbstractContextManager[asyncio.Event]:
        """Register a client's stream; the event is set when it has to close."""
        ...

    def ready(self) -> bool:
        """Whether calls can be taken now."""
        ...
