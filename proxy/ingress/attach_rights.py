"""What a sidecar may ask of the ledger: only what is its agents' own.

A sidecar decides calls itself, so it is believed in what concerns its agents; nothing it says may
touch another's sessions, budgets, approvals or locks. Steps are known by ids that nobody can guess.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from proxy.errors import BadRequest
from proxy.model.approval import Approval, Binding
from proxy.model.finding import Alert
from proxy.model.kill import GLOBAL, KillEntry, Scope, ScopeKind, scopes_of
from proxy.model.ledger import DecisionRecord, Reservation
from proxy.model.session import Session, SessionView
from proxy.model.sidecar import Sidecar
from proxy.stores.base import Store

Check = Callable[["Rights", tuple[Any, ...]], Awaitable[None]]


class Rights:
    """Looks at arguments before, and at results after."""

    def __init__(self, sidecar: Sidecar, store: Store) -> None:
        self._sidecar = sidecar
        self._store = store

    async def check(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Raise BadRequest 403 unless these arguments concern the sidecar's own agents."""
        await _CHECKS[name](self, arguments)

    def shown(self, result: Any) -> Any:
        """Return of a result what the sidecar may read."""
        if isinstance(result, Session | SessionView | Approval):
            return result if self._owns(result) else None
        if isinstance(result, tuple):
            return tuple(kept for one in result if (kept := self._item(one)) is not None)
        return result

    def _owns(self, one: Session | SessionView | Approval) -> bool:
        if isinstance(one, Approval):
            return self._sidecar.covers(one.binding.tenant, one.binding.agent)
        session = one.session if isinstance(one, SessionView) else one
        return self._sidecar.covers(session.tenant, session.agent)

    def _item(self, one: Any) -> Any:
        if isinstance(one, KillEntry):
            return self._sidecar.told(one)
        return one if isinstance(one, Scope) and self._is_ours(one) else None

    def _is_ours(self, scope: Scope) -> bool:
        """Whether a dry-run toggle covers one of its agents."""
        tenants = {agent.partition("/")[0] for agent in self._sidecar.agents}
        return (
            scope == GLOBAL
            or scope.kind is ScopeKind.SESSION
            or (scope.kind is ScopeKind.TENANT and scope.id in tenants)
            or (scope.kind is ScopeKind.AGENT and scope.id in self._sidecar.agents)
        )

    def require(self, tenant: str, agent: str) -> None:
        """Raise BadRequest 403 unless the sidecar speaks for that agent."""
        if not self._sidecar.covers(tenant, agent):
            raise BadRequest("not-your-agent", "This sidecar does not speak for that agent.", 403)

    async def require_session(self, session_id: str, tenant: str, agent: str) -> None:
        """Raise BadRequest 403 unless the session is that agent's, and the agent its own."""
        self.require(tenant, agent)
        session = await self._store.session(session_id)
        if session is None or (session.tenant, session.agent) != (tenant, agent):
            raise BadRequest("not-your-session", "There is no such session of that agent.", 403)

    async def require_known(self, session_id: str) -> None:
        """Raise BadRequest 403 unless the session is one of its agents'."""
        session = await self._store.session(session_id)
        if session is None or not self._sidecar.covers(session.tenant, session.agent):
            raise BadRequest("not-your-session", "There is no such session of that agent.", 403)


async def _nothing(_rights: Rights, _arguments: tuple[Any, ...]) -> None:
    """Ask nothing: the arguments name nobody; the result is looked at."""


async def _agent(rights: Rights, arguments: tuple[Any, ...]) -> None:
    rights.require(arguments[0], arguments[1])


async def _new_session(rights: Rights, arguments: tuple[Any, ...]) -> None:
    session: Session = arguments[0]
    rights.require(session.tenant, session.agent)


async def _session(rights: Rights, arguments: tuple[Any, ...]) -> None:
    session: Session = arguments[0]
    await rights.require_session(session.id, session.tenant, session.agent)


async def _session_id(rights: Rights, arguments: tuple[Any, ...]) -> None:
    await rights.require_known(arguments[0])


async def _reservation(rights: Rights, arguments: tuple[Any, ...]) -> None:
    """Check that scopes and accounts are those that follow from whose call it is."""
    asked: Reservation = arguments[0]
    intent = asked.intent
    await rights.require_session(intent.session_id, intent.tenant, intent.agent)
    tool = intent.resource_id
    needed = scopes_of(intent.tenant, intent.agent, intent.session_id, tool)
    own = {f"session:{intent.session_id}", f"agent:{intent.tenant}/{intent.agent}"}
    decision = asked.decision
    same = (decision.tenant, decision.agent, decision.session_id) == (
        intent.tenant,
        intent.agent,
        intent.session_id,
    )
    if asked.approval is not None:
        rights.require(asked.approval.binding.tenant, asked.approval.binding.agent)
    charged = {hold.account for hold in asked.holds}
    if not same or not set(needed) <= set(asked.scopes) or not charged <= own:
        raise BadRequest("reservation-unfit", "This reservation does not fit its call.", 403)


async def _decision(rights: Rights, arguments: tuple[Any, ...]) -> None:
    record: DecisionRecord = arguments[0]
    rights.require(record.tenant, record.agent)


async def _approval(rights: Rights, arguments: tuple[Any, ...]) -> None:
    asked: Approval = arguments[0]
    await rights.require_session(asked.session_id, asked.binding.tenant, asked.binding.agent)


async def _binding(rights: Rights, arguments: tuple[Any, ...]) -> None:
    binding: Binding = arguments[0]
    rights.require(binding.tenant, binding.agent)


async def _alert(rights: Rights, arguments: tuple[Any, ...]) -> None:
    """Check whom an alert is about: one of its agents, or nobody, which is the sidecar itself."""
    alert: Alert = arguments[0]
    if (alert.tenant, alert.agent, alert.session_id) != ("", "", ""):
        rights.require(alert.tenant, alert.agent)


_CHECKS: dict[str, Check] = {
    "announce": _session,
    "approval": _nothing,
    "ask_approval": _approval,
    "carry": _agent,
    "claimed": _session,
    "dry_run_scopes": _nothing,
    "end_session": _session_id,
    "enqueue_alert": _alert,
    "hook_session": _agent,
    "is_carried": _agent,
    "kill_log": _nothing,
    "lock_agent": _agent,
    "mark_sending": _nothing,
    "open_hook_session": _new_session,
    "open_session": _new_session,
    "record": _decision,
    "record_kill_verdict": _nothing,
    "reserve": _reservation,
    "session": _nothing,
    "session_by_token": _nothing,
    "settle": _nothing,
    "step_of": _session,
    "standing_approval": _binding,
    "view": _session,
}
