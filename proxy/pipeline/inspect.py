"""Stage 3 and the way back: monitors look at the call, and at the result before the agent does."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from proxy.errors import Refused
from proxy.model.finding import Alert, Finding, FindingAction
from proxy.model.step import Step
from proxy.model.token import new_id
from proxy.monitors.base import Monitor
from proxy.observability.metrics import Metrics
from proxy.stores.base import Sessions

log = logging.getLogger(__name__)

_LOCKING = frozenset({FindingAction.DENY_AND_LOCK, FindingAction.REDACT_AND_LOCK})


class Inspection:
    """Runs the monitors; a finding may deny the call and lock its agent."""

    def __init__(
        self,
        monitors: Sequence[Monitor],
        store: Sessions,
        raise_alert: Callable[[Alert], Awaitable[None]],
        metrics: Metrics,
    ) -> None:
        self._monitors = tuple(monitors)
        self._store = store
        self._raise_alert = raise_alert
        self._metrics = metrics

    async def call(self, step: Step) -> None:
        """Look at a call. Raises Refused: canary-touched."""
        for monitor in self._monitors:
            await self.act(step, monitor.on_call(step.call))

    async def result(self, step: Step, result: bytes) -> None:
        """Look at a result. Raises Refused: canary-touched."""
        for monitor in self._monitors:
            await self.act(step, monitor.on_result(step.call, result))

    async def act(self, step: Step, finding: Finding | None) -> None:
        """Do what a finding asks for, and tell people. Raises Refused: canary-touched."""
        if finding is None:
            return
        self._metrics.found(finding.severity)
        now = datetime.now(UTC)
        principal = step.principal
        log.warning("%s", finding.message, extra={"step_id": step.id, "monitor": finding.monitor})
        if finding.action in _LOCKING:
            await self._store.lock_agent(principal.tenant, principal.agent, finding.message, now)
        await self._raise_alert(
            Alert(
                id=new_id("alr"),
                at=now,
                kind=finding.monitor,
                severity=finding.severity,
                message=finding.message,
                tenant=principal.tenant,
                agent=principal.agent,
                session_id=step.session.id,
                step_id=step.id,
            )
        )
        if finding.action is FindingAction.DENY_AND_LOCK:
            raise Refused.because("canary-touched")
