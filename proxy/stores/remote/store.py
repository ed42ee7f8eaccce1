"""The store port, answered by a gateway. Only outcomes wait here while it cannot be reached."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from proxy.errors import StoreUnavailable
from proxy.model.approval import Approval, ApprovalState, Binding, Ruling
from proxy.model.finding import Alert
from proxy.model.hook import HookKey
from proxy.model.kill import KillEntry, KillOrder, KillVerdict, Scope
from proxy.model.ledger import (
    Claim,
    DecisionRecord,
    Limits,
    Reservation,
    Reserved,
    Settlement,
    StepRow,
)
from proxy.model.session import ALL_TENANTS, Session, SessionView
from proxy.stores.own_keys import OwnKeys
from proxy.stores.remote.authority import GatewayAuthority, read
from proxy.stores.remote.gateway import Gateway
from proxy.stores.remote.outcomes import Outcomes
from proxy.stores.remote.recoveries import NoRecoveries
from proxy.stores.wire import operations


class RemoteStore(GatewayAuthority, NoRecoveries):
    """A sidecar's ledger. What operators ask is asked at the gateway, and refused here."""

    def __init__(self, gateway: Gateway, outcomes: Path) -> None:
        super().__init__(gateway)
        self._outcomes = Outcomes(outcomes, self._deliver)
        self._keys = OwnKeys()

    async def open(self) -> None:
        """Deliver what an earlier run left. The gateway need not answer yet."""
        await self._outcomes.open()

    async def close(self) -> None:
        """Keep what is not delivered, close the connections."""
        await self._outcomes.close()
        await self._gateway.close()

    async def ping(self) -> None:
        """See the port."""
        await self.dry_run_scopes()

    async def open_session(self, session: Session, token_sha256: str | None, cap: int) -> Session:
        """See the port."""
        opened: Session = await self._ask("open_session", session, token_sha256, cap)
        return opened

    async def session_by_token(self, token_sha256: str) -> Session | None:
        """See the port."""
        session: Session | None = await self._ask("session_by_token", token_sha256)
        return session

    async def session(self, session_id: str) -> Session | None:
        """See the port."""
        session: Session | None = await self._ask("session", session_id)
        return session

    async def end_session(self, session_id: str, at: datetime) -> None:
        """See the port."""
        await self._ask("end_session", session_id, at)

    async def sessions(
        self, limit: int, tenants: Sequence[str] = (ALL_TENANTS,)
    ) -> tuple[Session, ...]:
        """Refuse: lists are the gateway's."""
        raise _elsewhere(limit, tenants)

    async def view(self, session: Session, limits: Limits, at: datetime) -> SessionView:
        """See the port."""
        view: SessionView = await self._ask("view", session, limits, at)
        return view

    async def lock_agent(self, tenant: str, agent: str, reason: str, at: datetime) -> None:
        """See the port."""
        await self._ask("lock_agent", tenant, agent, reason, at)

    async def unlock_agent(self, tenant: str, agent: str) -> bool:
        """Refuse: it is an operator's."""
        raise _elsewhere(tenant, agent)

    async def set_dry_run(self, scope: Scope, on: bool, actor: str, at: datetime) -> None:
        """Refuse: it is an operator's."""
        raise _elsewhere(scope, on, actor, at)

    async def dry_run_scopes(self) -> tuple[Scope, ...]:
        """See the port."""
        scopes: tuple[Scope, ...] = await self._ask("dry_run_scopes")
        return scopes

    async def hook_session(self, tenant: str, agent: str, key: HookKey) -> Session | None:
        """See the port."""
        session: Session | None = await self._ask("hook_session", tenant, agent, key)
        return session

    async def open_hook_session(self, session: Session, key: HookKey, cap: int) -> Session:
        """See the port."""
        opened: Session = await self._ask("open_hook_session", session, key, cap)
        return opened

    async def announce(self, session: Session, tool_use_id: str, at: datetime) -> None:
        """See the port."""
        await self._ask("announce", session, tool_use_id, at)

    async def carry(self, tenant: str, agent: str, tool_use_id: str) -> Session | None:
        """See the port."""
        session: Session | None = await self._ask("carry", tenant, agent, tool_use_id)
        return session

    async def is_carried(self, tenant: str, agent: str, tool_use_id: str) -> bool | None:
        """See the port."""
        carried: bool | None = await self._ask("is_carried", tenant, agent, tool_use_id)
        return carried

    async def reserve(self, reservation: Reservation) -> Reserved:
        """See the port."""
        reserved: Reserved = await self._ask("reserve", reservation)
        return reserved

    async def claimed(self, session: Session, claim: Claim) -> Reserved | None:
        """See the port."""
        claimed: Reserved | None = await self._ask("claimed", session, claim)
        return claimed

    async def step_of(self, session: Session, key: str) -> StepRow | None:
        """See the port."""
        row: StepRow | None = await self._ask("step_of", session, key)
        return row

    async def mark_sending(self, step_id: str) -> None:
        """See the port."""
        await self._ask("mark_sending", step_id)

    async def settle(self, settlement: Settlement) -> None:
        """See the port; written down here when the gateway cannot be reached."""
        await self._outcomes.add(operations()["settle"].pack((settlement,)))

    async def record(self, decision: DecisionRecord) -> None:
        """See the port."""
        await self._ask("record", decision)

    async def open_intents_to_unknown(self, at: datetime) -> tuple[StepRow, ...]:
        """Leave it to the gateway, which does so when our lease has run out."""
        del at
        return ()

    async def steps(
        self,
        session_id: str | None,
        states: Sequence[str],
        limit: int,
        tenants: Sequence[str] = (ALL_TENANTS,),
    ) -> tuple[StepRow, ...]:
        """Refuse: lists are the gateway's."""
        raise _elsewhere(session_id, states, limit, tenants)

    async def decisions(self, limit: int, tenants: Sequence[str]) -> tuple[DecisionRecord, ...]:
        """Refuse: lists are the gateway's."""
        raise _elsewhere(limit, tenants)

    async def ask_approval(self, asked: Approval, cap: int) -> Approval | None:
        """See the port."""
        standing: Approval | None = await self._ask("ask_approval", asked, cap)
        return standing

    async def standing_approval(self, binding: Binding, at: datetime) -> Approval | None:
        """See the port."""
        standing: Approval | None = await self._ask("standing_approval", binding, at)
        return standing

    async def approval(self, approval_id: str, at: datetime) -> Approval | None:
        """See the port."""
        approval: Approval | None = await self._ask("approval", approval_id, at)
        return approval

    async def approvals(
        self, state: ApprovalState | None, tenants: Sequence[str], limit: int, at: datetime
    ) -> tuple[Approval, ...]:
        """Refuse: lists are the gateway's."""
        raise _elsewhere(state, tenants, limit, at)

    async def rule_approval(self, ruling: Ruling) -> bool:
        """Refuse: it is an operator's."""
        raise _elsewhere(ruling)

    async def append_kill(self, order: KillOrder) -> KillEntry:
        """Refuse: what is killed at a sidecar holds there, and nowhere else."""
        raise _elsewhere(order)

    async def kill_log(self) -> tuple[KillEntry, ...]:
        """See the port."""
        entries: tuple[KillEntry, ...] = await self._ask("kill_log")
        return entries

    async def record_kill_verdict(self, epoch: int, step_id: str, verdict: KillVerdict) -> None:
        """See the port."""
        await self._ask("record_kill_verdict", epoch, step_id, verdict)

    async def kill_verdicts(self, epoch: int) -> dict[str, KillVerdict]:
        """Refuse: lists are the gateway's."""
        raise _elsewhere(epoch)

    async def holders(self) -> dict[str, int]:
        """Nobody holds a lease of a sidecar."""
        return {}

    async def shared_key(self, name: str) -> bytes:
        """See the port; a sidecar shares its agent with nobody."""
        return self._keys.get(name)

    async def enqueue_alert(self, alert: Alert) -> None:
        """See the port; the gateway delivers it."""
        await self._ask("enqueue_alert", alert)

    async def due_alerts(self, now: datetime, limit: int) -> tuple[tuple[Alert, int], ...]:
        """Return none: the gateway delivers them."""
        del now, limit
        return ()

    async def alert_delivered(self, alert_id: str, at: datetime) -> None:
        """Refuse: the gateway delivers them."""
        raise _elsewhere(alert_id, at)

    async def alert_failed(self, alert_id: str, next_at: datetime) -> None:
        """Refuse: the gateway delivers them."""
        raise _elsewhere(alert_id, next_at)

    async def _ask(self, method: str, *arguments: Any) -> Any:
        operation = operations()[method]
        body = await self._gateway.post(f"store/{method}", operation.pack(arguments))
        return read(operation.result, body)

    async def _deliver(self, packed: bytes) -> None:
        await self._gateway.post("store/settle", packed)


def _elsewhere(*_asked: object) -> StoreUnavailable:
    return StoreUnavailable("Ask the gateway this sidecar is attached to.")
