"""The last look before a call's first byte, and the first one after it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from proxy.errors import Refused
from proxy.killswitch.lease import KillLease
from proxy.killswitch.switch import KillSwitch
from proxy.model.finding import Alert, Severity
from proxy.model.step import Step
from proxy.model.token import new_id
from proxy.observability.metrics import Metrics

log = logging.getLogger(__name__)


class Starts:
    """Lets a call start while its kill lease is fresh and no kill covers it.

    A process can be frozen between that look and the write, for longer than its lease lasts. The
    tool was called late then: that cannot be prevented here (a tool that checks its call token
    refuses it), but it is told.
    """

    def __init__(
        self,
        kill_switch: KillSwitch,
        lease: KillLease,
        metrics: Metrics,
        raise_alert: Callable[[Alert], Awaitable[None]],
    ) -> None:
        self._kill_switch = kill_switch
        self._lease = lease
        self._metrics = metrics
        self._raise_alert = raise_alert
        self._telling: set[asyncio.Task[None]] = set()

    def __call__(self, step: Step) -> None:
        """Call right before the write, with no await in between.

        Raises Refused: killed, kill-lease-expired.
        """
        loop, threshold = asyncio.get_running_loop(), self._kill_switch.threshold
        threshold.enter(step.id)
        # Both run as soon as the write has been handed to the socket.
        loop.call_soon(threshold.leave, step.id)
        loop.call_soon(self._look_back, step, self._look(step))

    def _look(self, step: Step) -> float:
        """Return when the lease ends. It is read first: a newer one may know of a kill."""
        until = self._lease.fresh_until()
        if self._kill_switch.covers(step.scopes, step.epoch):
            raise Refused.because("killed")
        if until is None:
            raise Refused.because("kill-lease-expired")
        return until

    def _look_back(self, step: Step, until: float) -> None:
        late_s = self._lease.now() - until
        if late_s <= 0:
            return
        self._metrics.late_start()
        extra = {"step_id": step.id, "tool": step.call.resource_id, "late_s": round(late_s, 3)}
        log.critical("a call started after its kill lease had ended", extra=extra)
        told = f"step {step.id} of {step.call.resource_id} started {late_s:.1f} s late"
        task = asyncio.ensure_future(self._raise_alert(_alert(step, told)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


def _alert(step: Step, told: str) -> Alert:
    """Return the alert. It names the agent: a gateway takes none of a sidecar's about others."""
    return Alert(
        id=new_id("alr"),
        at=datetime.now(UTC),
        kind="late-start",
        severity=Severity.CRITICAL,
        message=told,
        tenant=step.principal.tenant,
        agent=step.principal.agent,
        session_id=step.session.id,
        step_id=step.id,
    )
