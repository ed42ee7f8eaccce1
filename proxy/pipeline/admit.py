"""Stage 2: the cheap refusals: killed, no fresh lease, draining, locked.

Whether the session is still open is read at authentication, and again inside the reservation.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from proxy.errors import Refused
from proxy.killswitch.lease import KillLease
from proxy.killswitch.switch import KillSwitch
from proxy.model.kill import Scope
from proxy.model.ledger import Limits
from proxy.model.session import Mode, Principal, Session, SessionView
from proxy.model.step import Step
from proxy.stores.base import Sessions


class Admission:
    """Reads the kill state, then the ledger's view of the session."""

    def __init__(
        self,
        kill_switch: KillSwitch,
        lease: KillLease,
        store: Sessions,
        limits: Callable[[str, str], Limits],
    ) -> None:
        self._kill_switch = kill_switch
        self._lease = lease
        self._store = store
        self._limits = limits
        self.draining = False

    async def __call__(self, step: Step) -> Step:
        """Return the step with its view. Raises Refused: killed, kill-lease-expired, draining, …"""
        view, mode = await self.standing(step.principal, step.session, step.scopes)
        return step.fuller(view=view, mode=mode)

    async def standing(
        self, principal: Principal, session: Session, scopes: tuple[Scope, ...]
    ) -> tuple[SessionView, Mode]:
        """Return how a caller stands under these scopes: its view, the mode its calls run in.

        What is listed depends on this as well as what is called. Raises Refused as a call does.
        """
        fresh = self._lease.fresh()
        if self._kill_switch.covers(scopes):
            raise Refused.because("killed")
        if not fresh:
            raise Refused.because("kill-lease-expired")
        if self.draining:
            raise Refused.because("draining")
        limits = self._limits(principal.tenant, principal.agent)
        view = await self._store.view(session, limits, datetime.now(UTC))
        if view.locked is not None:
            raise Refused.because("agent-locked")
        mode = min(session.mode, principal.max_mode, key=lambda mode: mode.rank)
        if mode is Mode.READ_WRITE and (principal.dry_run or view.dry_run):
            mode = Mode.DRY_RUN
        return view, mode
