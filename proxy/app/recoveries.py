"""What runs beside the calls: recovery of steps left open, and the revoker that finishes kills."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from proxy.app.gateway import Parts
from proxy.app.policies import CurrentCatalogue
from proxy.chain.recovery import Listeners, RecoveryTask, Terms
from proxy.config import Settings
from proxy.ingress.canonical import flags_in, urls_in
from proxy.killswitch.lease import KillLease
from proxy.killswitch.revoker import Revoker
from proxy.model.finding import Alert, Severity
from proxy.model.ledger import Intent, IntentState, StepRow
from proxy.model.recovery import OpenStep
from proxy.model.token import new_id
from proxy.observability.metrics import Metrics
from proxy.pipeline.again import Attempts, Ground, GuardedCalls
from proxy.pipeline.converse import Surveys
from proxy.pipeline.run import Pipeline, Stages

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Aftermath:
    """The two tasks; a sidecar has neither: its gateway does both."""

    recovery: RecoveryTask
    revoker: Revoker

    def start(self) -> Callable[[], Awaitable[None]]:
        """Run both; what is returned ends them."""
        tasks = (
            asyncio.create_task(self.recovery.run()),
            asyncio.create_task(self.revoker.run()),
        )

        async def stop() -> None:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.recovery.stop()

        return stop


class Told:
    """Tells logs, metrics and people what recovery finds.

    `hooked` are the tools (`server/tool`) that agents run themselves: only they see what happened,
    and will mostly still say it, so that nobody is woken for one.
    """

    def __init__(
        self,
        metrics: Metrics,
        raise_alert: Callable[[Alert], Awaitable[None]],
        hooked: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._metrics = metrics
        self._raise_alert = raise_alert
        self._hooked = hooked

    def found(self, rows: tuple[StepRow, ...]) -> None:
        """Log what was left open."""
        for row in rows:
            extra = {"step_id": row.intent.step_id, "tool": row.intent.resource_id}
            log.warning("outcome unknown: whoever made the call is gone", extra=extra)

    async def settled(self, step: OpenStep, state: IntentState, why: str) -> None:
        """Count it; a stuck step is for a person, who is told."""
        self._metrics.recovered(state)
        intent = step.row.intent
        if state is not IntentState.STUCK or intent.resource_id in self._hooked():
            return
        told = f"step {step.id} of {intent.resource_id} is stuck ({why}); settle it by hand"
        await self._raise_alert(
            Alert(
                id=new_id("alr"),
                at=datetime.now(UTC),
                kind="stuck-step",
                severity=Severity.CRITICAL,
                message=told,
                tenant=intent.tenant,
                agent=intent.agent,
                session_id=intent.session_id,
                step_id=step.id,
            )
        )


def aftermath_of(
    parts: Parts, settings: Settings, stages: Stages, pipeline: Pipeline, lease: KillLease
) -> Aftermath | None:
    """Return what runs beside the calls of a gateway; nothing beside those of a sidecar."""
    if settings.attach.url is not None:
        return None
    ground = Ground(
        stages=stages,
        effect=stages.effect.settled_by(Attempts(parts.store)),
        store=parts.store,
        kill_switch=parts.kill_switch,
        flights=parts.flights,
        surveys=Surveys(urls_in, flags_in),
        run=pipeline.run,
        reaches=partial(reaches, settings),
        trusts_issuers=bool(settings.identity.issuers),
    )
    told = Told(parts.metrics, parts.delivery.raise_alert, partial(_hooked, parts.catalogue))
    sidecars = parts.relay.holding if parts.relay is not None else tuple
    listeners = Listeners(told.found, told.settled, parts.metrics.open_intents, sidecars)
    terms = terms_of(lease.holder, lease.terms.bound_s)
    revoke = stages.lend.revoke
    return Aftermath(
        RecoveryTask(parts.store, GuardedCalls(ground), stages.lend, terms, listeners),
        Revoker(parts.kill_switch, parts.effects.of, parts.store, revoke, lease.holder),
    )


def _hooked(catalogue: CurrentCatalogue) -> frozenset[str]:
    return frozenset(one.resource_id for one in catalogue.tools.values() if one.hooks)


def terms_of(by: str, bound_s: float) -> Terms:
    """Return when an owner counts as gone: its lease has run out, and two looks found it silent."""
    return Terms(by, bound_s + 2 * LOOK_EVERY_S, LOOK_EVERY_S)


def reaches(settings: Settings, intent: Intent) -> bool:
    """Whether this process can ask the tool of a step that another process had called.

    The children of a process are its own: what one of another machine, or of a sidecar, did, ours
    would not know. The embedded ledger is of one process; its next run starts the same children.
    """
    server = settings.servers.get(intent.server)
    if server is None:
        return False
    is_child = server.mcp is not None and bool(server.mcp.command)
    return not is_child or (settings.has_own_ledger and "/" not in intent.holder)
