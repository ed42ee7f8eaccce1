"""Sessions and tool uses of agents with hooks, for a gate that only writes down."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from proxy.errors import Refused
from proxy.model.call import ToolCall
from proxy.model.hook import HookKey, ToolUse
from proxy.model.ledger import Outcome
from proxy.model.step import Answer
from proxy.pipeline.authenticate import Caller


@dataclass
class RecordingHooks:
    """Sessions and tool uses by the names of agents, only written down: what, in which session."""

    said: list[tuple[str, str, Any]] = field(default_factory=list)
    carried: bool | None = True
    concluded: Answer = field(default_factory=lambda: Answer("stp_1", "allow", (), Outcome.DONE))

    async def enter(self, caller: Caller, key: HookKey) -> Caller:
        """Stand in a session called like the agent calls it."""
        session = replace(caller.session, id=f"in {key.client} {key.session}")
        return replace(caller, session=session)

    find = enter

    async def leave(self, caller: Caller, key: HookKey) -> None:
        """Write it down."""
        self.said.append(("leave", caller.session.id, key.session))

    async def announce(self, caller: Caller, tool_use_id: str) -> None:
        """Write it down."""
        self.said.append(("announce", caller.session.id, tool_use_id))

    async def is_carried(self, caller: Caller, tool_use_id: str) -> bool | None:
        """Say what the test says."""
        return self.carried

    async def conclude(self, caller: Caller, use: ToolUse) -> Answer:
        """Write it down."""
        self.said.append(("conclude", caller.session.id, use))
        return self.concluded

    async def unasked(self, caller: Caller, use: ToolUse) -> Answer:
        """Write it down."""
        self.said.append(("unasked", caller.session.id, use))
        return self.concluded

    async def close(self, caller: Caller, client: str, tool_use_ids: tuple[str, ...]) -> None:
        """Write it down."""
        self.said.append(("close", caller.session.id, tool_use_ids))

    async def close_all(self, caller: Caller, client: str) -> None:
        """Write it down."""
        self.said.append(("close all", caller.session.id, client))


class HookGate:
    """The part of a recording gate that agents with hooks use."""

    calls: list[ToolCall]
    answer: Callable[[ToolCall], Answer]
    killed: bool
    hooks: RecordingHooks

    async def permit(self, caller: Caller, call: ToolCall, *, carried: bool = False) -> Answer:
        """Write the call down and answer it."""
        self.calls.append(call)
        self.hooks.said.append(("permit", caller.session.id, carried))
        return self.answer(call)

    async def check(self, caller: Caller) -> None:
        """Refuse when killed."""
        self.hooks.said.append(("check", caller.session.id, ""))
        if self.killed:
            raise Refused.because("killed")

    @property
    def hooked(self) -> RecordingHooks:
        """The names of agents with hooks."""
        return self.hooks

    @property
    def permits(self) -> RecordingHooks:
        """What agents with hooks say."""
        return self.hooks
