"""What the doors need of the pipeline; `proxy.pipeline.run.Pipeline` is the one that has it."""

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol

from proxy.errors import BadRequest
from proxy.model.call import Door, ToolCall
from proxy.model.step import Answer
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.sessions import OpenedSession, SessionRequest
from proxy.pipeline.visible import VisibleTool


class Gate(Protocol):
    """Every way from a door into the house. All methods raise StoreUnavailable."""

    async def authenticate(self, token: str) -> Caller:
        """Return who a bearer token speaks for. Raises Refused."""
        ...

    async def run(self, caller: Caller, call: ToolCall) -> Answer:
        """Take one call down and back; a refusal is an Answer too. May be cancelled."""
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
