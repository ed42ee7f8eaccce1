"""Stage 1 for agents with hooks: the sessions and tool uses that they name themselves.

Such an agent asks with one name for its session at every event. Its first tool use opens a session
of ours under that name; a call that comes over MCP and carries an announced tool use belongs to the
same session, so that one run of the agent is one chain. All names are kept apart by principal.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from proxy.errors import Refused
from proxy.killswitch.switch import KillSwitch
from proxy.model.call import Door, ToolCall
from proxy.model.hook import HookKey
from proxy.model.kill import scopes_of
from proxy.model.session import Session
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.sessions import OPEN_SESSIONS_CAP, SessionDesk
from proxy.stores.base import Hooks, Sessions


class HookStore(Hooks, Sessions, Protocol):
    """The two parts of the store that are needed."""


class HookSessions:
    """Finds, opens and ends sessions by the names of agents."""

    def __init__(self, store: HookStore, desk: SessionDesk, kill_switch: KillSwitch) -> None:
        self._store = store
        self._desk = desk
        self._kill_switch = kill_switch

    async def enter(self, caller: Caller, key: HookKey) -> Caller:
        """Return the caller in the session of that name, opened when there is none.

        A caller with a session token stays where it is. A name whose session was killed opens no
        other. Raises Refused: killed, agent-locked, too-many-sessions.
        """
        if not caller.session.implicit:
            return caller
        known = await self._named(caller, key)
        if known is not None and self._is_killed(known):
            raise Refused.because("killed")
        if known is None or not _is_open(known):
            fresh = self._desk.named(caller.principal, key)
            known = await self._store.open_hook_session(fresh, key, OPEN_SESSIONS_CAP)
        return replace(caller, session=known)

    async def find(self, caller: Caller, key: HookKey) -> Caller:
        """Return the caller in the last session of that name, even one that has ended."""
        known = await self._named(caller, key)
        return caller if known is None else replace(caller, session=known)

    async def leave(self, caller: Caller, key: HookKey) -> None:
        """End the session of that name, if there is one."""
        known = await self._named(caller, key)
        if known is not None:
            await self._store.end_session(known.id, datetime.now(UTC))

    async def announce(self, caller: Caller, tool_use_id: str) -> None:
        """Say that a tool use will come as a call of this caller's session."""
        await self._store.announce(caller.session, tool_use_id, datetime.now(UTC))

    async def joined(self, caller: Caller, call: ToolCall) -> Caller:
        """Return the caller in the session its tool use was announced in, else as it came."""
        tool_use_id = call.tool_use_id if call.door is Door.MCP else ""
        if not tool_use_id:
            return caller
        principal = caller.principal
        session = await self._store.carry(principal.tenant, principal.agent, tool_use_id)
        if session is None or not caller.session.implicit or not _is_open(session):
            return caller
        return replace(caller, session=session)

    async def is_carried(self, caller: Caller, tool_use_id: str) -> bool | None:
        """Whether an announced tool use came as a call; None when it was not announced."""
        principal = caller.principal
        return await self._store.is_carried(principal.tenant, principal.agent, tool_use_id)

    async def _named(self, caller: Caller, key: HookKey) -> Session | None:
        if not caller.session.implicit:
            return None
        principal = caller.principal
        return await self._store.hook_session(principal.tenant, principal.agent, key)

    def _is_killed(self, session: Session) -> bool:
        return self._kill_switch.covers(scopes_of(session.tenant, session.agent, session.id))


def _is_open(session: Session) -> bool:
    return session.is_open_at(datetime.now(UTC))
