"""The life of one gateway process: start, reload, halt, drain, stop."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import httpx

from proxy.app.endless import endless
from proxy.app.live_policy import LivePolicy, PolicyParts
from proxy.app.policies import CurrentCatalogue, Delivery, PolicySource
from proxy.app.shadowing import Candidate
from proxy.ingress.attach_tokens import SidecarTokens
from proxy.killswitch.effectiveness import EffectWatch
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.lapse import Lapse
from proxy.killswitch.relay import Relay
from proxy.killswitch.switch import KillReport, KillSwitch
from proxy.model.finding import Alert, Severity
from proxy.model.kill import GLOBAL, ScopeKind
from proxy.model.token import new_id
from proxy.monitors.alerts.delivery import AlertDelivery
from proxy.monitors.integrity import IntegrityWatch
from proxy.observability.metrics import Metrics
from proxy.pdp.base import PolicyEngine, StagedBundle
from proxy.pdp.decision import DecisionPoint
from proxy.pdp.review.log import DecisionLog
from proxy.pipeline.admit import Admission
from proxy.pipeline.resolve import Resolver
from proxy.stores.base import Store
from proxy.upstream.registry import Registry

SETTLE_S = 2.0
SEAL = "request-state"

log = logging.getLogger(__name__)


class Keeper(Protocol):
    """Keeps the kill lease, on whatever thread."""

    async def start(self) -> None:
        """Get the first lease and keep it. Raises StoreUnavailable."""
        ...

    async def stop(self) -> None:
        """Give it up."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything with a life of its own, and where policies come from.

    `closing` ends what else holds connections: the keys of issuers. `sidecars` verifies the tokens
    that sidecars have of issuers.
    """

    store: Store
    kill_switch: KillSwitch
    keeper: Keeper
    lapse: Lapse
    effects: EffectWatch
    relay: Relay | None
    flights: InFlight
    engine: PolicyEngine
    policy: DecisionPoint
    registry: Registry
    resolver: Resolver
    admission: Admission
    delivery: AlertDelivery
    alert_http: httpx.AsyncClient
    metrics: Metrics
    source: PolicySource
    catalogue: CurrentCatalogue
    closing: tuple[Callable[[], Awaitable[None]], ...] = ()
    sidecars: SidecarTokens = field(default_factory=SidecarTokens)
    decisions: DecisionLog | None = None
    signed: Delivery | None = None
    candidate: Candidate | None = None


# Begins what runs beside the calls, and returns what ends it.
Beside = Callable[[], Callable[[], Awaitable[None]]]


class Gateway:
    """Starts the parts in order and stops them in the reverse one."""

    def __init__(self, parts: Parts, bundle: StagedBundle, beside: Beside | None = None) -> None:
        self.parts = parts
        self._beside = beside
        self.seal_key = b""  # of what clients carry; known before anything is served
        self.started = asyncio.Event()
        live = PolicyParts(
            parts.source, parts.policy, parts.catalogue, parts.resolver, parts.registry,
            parts.metrics, self._note_tools, parts.signed, parts.candidate,
        )  # fmt: skip
        self.live = LivePolicy(live, bundle, self._alert)
        self._exits = contextlib.AsyncExitStack()
        self._exits.push_async_callback(self._close_clients)
        self._watch = IntegrityWatch(parts.delivery.raise_alert, parts.metrics)
        self._noting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Start store, kill state, policy, servers. What fails undoes what had started.

        Raises StoreError, PolicyError.
        """
        parts = self.parts
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            await parts.store.open()
            self._exits.push_async_callback(parts.store.close)
            self.seal_key = await parts.store.shared_key(SEAL)
            await self._list_open_intents()
            await parts.kill_switch.start()
            self._exits.push_async_callback(parts.kill_switch.stop)
            await parts.keeper.start()
            self._exits.push_async_callback(parts.keeper.stop)
            lapsing = asyncio.create_task(parts.lapse.watch())
            self._exits.callback(lapsing.cancel)
            await self.live.begin()
            self._exits.push_async_callback(parts.engine.stop)
            parts.metrics.policy_loaded(self.live.bundle.revision)
            await self._begin_policy()
            if parts.decisions is not None:
                self._exits.push_async_callback(parts.decisions.stop, parts.decisions.start())
            delivering = asyncio.create_task(parts.delivery.run())
            self._exits.push_async_callback(self._stop_delivering, delivering)
            parts.registry.changed = self._note_tools
            self._exits.push_async_callback(parts.registry.stop)
            await parts.registry.start()
            if self._beside is not None:
                self._exits.push_async_callback(self._beside())
            undo.pop_all()
        self.started.set()

    async def drain(self, drain_s: float) -> None:
        """Take no new calls, close streams, wait for the calls in flight; cut those that last.

        What was cut is answered, and written down as what is known of it.
        """
        self.parts.admission.draining = True
        self.parts.flights.close_streams()
        if not await self._landed(drain_s):
            self.parts.flights.give_up()
            await self._landed(SETTLE_S)

    async def stop(self) -> None:
        """Stop what was started and close what was made; a second time changes nothing."""
        await self._exits.aclose()

    async def reload_policy(self, *, older: bool = False) -> str:
        """Serve the policy as its source offers it now; return the revision.

        A broken one changes nothing, alerts, and raises PolicyError.
        """
        return await self.live.reload(older=older)

    async def halt(self, actor: str, reason: str, order_id: str = "") -> KillReport:
        """Kill everything: SIGUSR1 and the last resort of a terminal."""
        self.parts.metrics.killed(ScopeKind.GLOBAL)
        return await self.parts.kill_switch.kill((GLOBAL,), actor, reason, order_id)

    async def _begin_policy(self) -> None:
        """Hold what was loaded good, and begin what goes on beside it."""
        signed, candidate = self.parts.signed, self.parts.candidate
        if signed is not None:
            await asyncio.to_thread(signed.settled, loaded=True)
        if candidate is not None:
            self._exits.push_async_callback(candidate.stop)
            await candidate.reload()
        if self.parts.source.choices is not None:
            follow = self.live.follow_choices
            following = asyncio.create_task(endless("following choices", follow, self._alert))
            self._exits.callback(following.cancel)

    async def _landed(self, within_s: float) -> bool:
        """Wait until no call is in flight; return whether that is so."""
        landing = asyncio.create_task(self.parts.flights.landed())
        await asyncio.wait((landing,), timeout=within_s)
        landing.cancel()
        return len(self.parts.flights) == 0

    async def _list_open_intents(self) -> None:
        rows = await self.parts.store.open_intents_to_unknown(datetime.now(UTC))
        self.parts.metrics.open_intents(len(rows))
        for row in rows:
            extra = {"step_id": row.intent.step_id, "tool": row.intent.resource_id}
            log.warning("outcome unknown since the last run; not sent again", extra=extra)

    def _note_tools(self) -> None:
        """Tell people what is wrong now with the tools that servers offer."""
        found = self.parts.resolver.irregularities()
        task = asyncio.get_running_loop().create_task(self._watch.note(found))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)

    async def _alert(self, kind: str, message: str) -> None:
        log.error("%s", message, extra={"kind": kind})
        alert = Alert(new_id("alr"), datetime.now(UTC), kind, Severity.CRITICAL, message)
        await self.parts.delivery.raise_alert(alert)

    async def _stop_delivering(self, delivering: asyncio.Task[None]) -> None:
        await asyncio.gather(*self._noting, return_exceptions=True)
        delivering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await delivering

    async def _close_clients(self) -> None:
        """Close the connections to servers and receivers, which are made before anything starts."""
        await self.parts.registry.stop()
        await self.parts.alert_http.aclose()
        for close in self.parts.closing:
            await close()
