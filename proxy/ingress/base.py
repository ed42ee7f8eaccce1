"""What the doors need of the pipeline; `proxy.pipeline.run.Pipeline` is the one that has it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from proxy.errors import BadRequest
from proxy.model.call import Door, ToolCall
from proxy.model.hook import HookKey, ToolUse
from proxy.model.mcp import Notification
from proxy.model.step import Answer
from proxy.model.tool import ToolManifest
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.sessions import OpenedSession, SessionRequest
from proxy.pipeline.visible import VisibleTool
from proxy.upstream.conversation import Conversation


class HookDesk(Protocol):
    """Sessions and tool uses by the names agents with hooks have for them."""

    async def enter(self, caller: Caller, key: HookKey) -> Caller:
        """Return the caller in the session of that name, opened if need be. Raises Refused."""
        ...

    async def find(self, caller: Caller, key: HookKey) -> Caller:
        """Return the caller in the last session of that name, even one that has ended."""
        ...

    async def leave(self, caller: Caller, key: HookKey) -> None:
        """End the session of that name, if there is one."""
        ...

    async def announce(self, caller: Caller, tool_use_id: str) -> None:
        """Say that a tool use will come as a call of this caller's session."""
        ...

    async def is_carried(self, caller: Caller, tool_use_id: str) -> bool | None:
        """Whether an announced tool use came as a call; None when it was not announced."""
        ...


class ToolUses(Protocol):
    """What agents with hooks say of the tools they ran."""

    async def conclude(self, caller: Caller, use: ToolUse) -> Answer:
        """Settle a tool use; a denial means that the agent must not go on."""
        ...

    async def unasked(self, caller: Caller, use: ToolUse) -> Answer:
        """Tell people of a tool that ran without having been asked for."""
        ...

    async def close(self, caller: Caller, client: str, tool_use_ids: tuple[str, ...]) -> None:
        """Settle as unknown those of these that were never told of."""
        ...

    async def close_all(self, caller: Caller, client: str) -> None:
        """Settle as unknown everything the caller's session has left open."""
        ...


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

    async def permit(self, caller: Caller, call: ToolCall, *, carried: bool = False) -> Answer:
        """Decide a call an agent asks about by a hook, down to a durable intent; send nothing.

        `carried`: the agent will send the call through another door, where it becomes a step.
        """
        ...

    async def check(self, caller: Caller) -> None:
        """Look whether an agent may go on. Raises Refused: killed, draining, agent-locked."""
        ...

    @property
    def hooked(self) -> HookDesk:
        """Sessions by the names of agents with hooks."""
        ...

    @property
    def permits(self) -> ToolUses:
        """What agents with hooks say of the tools they ran."""
        ...

    def manifests(self) -> Mapping[tuple[str, str], ToolManifest]:
        """Return the reviewed manifests by server and tool; a reload makes another mapping."""
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

    async def healthy(self) -> bool:
        """Whether calls can be taken now and what they need is there; cheap to ask often."""
        ...
