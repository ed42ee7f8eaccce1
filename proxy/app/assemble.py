"""Adapters in, a gateway out: the wiring of the stages."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path

from proxy.app.build import Builder
from proxy.app.decision_log import decision_log_of
from proxy.app.doorways import Doorways
from proxy.app.gateway import Gateway, Keeper, Parts
from proxy.app.identity import identities_of, operators_of, principals_of, sidecar_tokens_of
from proxy.app.listeners import Listeners
from proxy.app.policies import CurrentCatalogue, PolicySource
from proxy.app.recoveries import aftermath_of
from proxy.app.secrets import Secrets
from proxy.app.servers import Servers
from proxy.app.shadowing import Both, Candidate, candidate_of, recorder_of
from proxy.config import Settings
from proxy.ingress.canonical import flags_in, urls_in
from proxy.killswitch.effectiveness import EffectWatch
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.keeper import LeaseKeeper
from proxy.killswitch.lapse import Lapse
from proxy.killswitch.lease import KillLease
from proxy.killswitch.lease_thread import Connect, LeaseThread
from proxy.killswitch.relay import Relay
from proxy.killswitch.switch import KillSwitch
from proxy.model.lease import LeaseTerms
from proxy.monitors.alerts.delivery import AlertDelivery
from proxy.monitors.base import Monitor
from proxy.monitors.live_secrets import LiveSecrets
from proxy.monitors.undecided import Undecided
from proxy.observability.masking import Masker
from proxy.observability.metrics import Metrics
from proxy.pdp.decision import DecisionPoint
from proxy.pdp.delivery.choice import Choices
from proxy.pdp.delivery.pull import DeliveredPolicy
from proxy.pdp.managed_opa import ManagedOpa
from proxy.pipeline.admit import Admission
from proxy.pipeline.approve import Approving, Terms
from proxy.pipeline.authenticate import Authenticator
from proxy.pipeline.converse import Converse, Surveys
from proxy.pipeline.decide import Decider, Recorder
from proxy.pipeline.dispatch import Dispatch
from proxy.pipeline.effect import Effect
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS
from proxy.pipeline.filter import KnownTokens, ResponseFilter
from proxy.pipeline.health import Health
from proxy.pipeline.hooked import HookSessions
from proxy.pipeline.identify import Identities
from proxy.pipeline.inspect import Inspection
from proxy.pipeline.lease import Lending
from proxy.pipeline.permit import Permits
from proxy.pipeline.reserve import Reserving
from proxy.pipeline.resolve import Resolver
from proxy.pipeline.run import Pipeline, Stages
from proxy.pipeline.sessions import SessionDesk
from proxy.pipeline.settle import Settling
from proxy.pipeline.start import Starts
from proxy.pipeline.visible import Visibility
from proxy.pipeline.watch import Watching
from proxy.process.siblings import Siblings
from proxy.stores.base import Store
from proxy.upstream.registry import Registry


@dataclass(frozen=True, slots=True)
class Assembled:
    """A gateway that is ready to start, the walk its doors use, and what it was made from."""

    gateway: Gateway
    pipeline: Pipeline
    settings: Settings
    builder: Builder
    source: PolicySource
    candidate: Candidate | None = None

    def bind(self, given: Listeners | None = None, siblings: Siblings | None = None) -> Servers:
        """Bind the ports, or take those `given`. Raises ConfigError; then none is bound."""
        doorways = Doorways(self.gateway, self.pipeline, self.settings, self.builder, siblings)
        return doorways.bind(given)

    def cleanup(self) -> None:
        """Remove what lies on disk only while we run."""
        self.source.cleanup()
        if self.candidate is not None:
            self.candidate.cleanup()


def assemble(
    settings: Settings,
    environ: Mapping[str, str],
    masker: Masker,
    revision: Callable[[], str] = lambda: "",
    signed: DeliveredPolicy | None = None,
) -> Assembled:
    """Build everything and start nothing; needs a running event loop.

    Every secret is made known to `masker` before anything else gets it. `revision` is that of a
    policy somebody else has staged, `signed` what delivers it. Raises ConfigError, PolicyError.
    """
    live = LiveSecrets()
    builder = Builder(settings, Secrets(settings, environ, partial(_learn, masker, live)))
    choices = Choices(settings.policy_state) if settings.attach.url is None else None
    directory = settings.path(Path(settings.policy.bundle))
    with ExitStack() as unless_assembled:
        source = PolicySource(directory, builder.opa, revision, choices, signed)
        unless_assembled.callback(source.cleanup)
        candidate = candidate_of(settings, builder.opa)
        if candidate is not None:
            unless_assembled.callback(candidate.cleanup)
        policies = _Policies(source, candidate, signed)
        assembled = _assemble(builder, policies, live, masker)
        unless_assembled.pop_all()
    return assembled


def _learn(masker: Masker, live: LiveSecrets, place: str, value: str) -> None:
    """Make a secret known to logs and to the response filter; canaries have their own monitor."""
    masker.add(value)
    if not place.startswith("canaries."):
        live.add(place, value)


@dataclass(frozen=True, slots=True)
class _Policies:
    """Where the policy in force comes from, what is asked beside it, and who delivers it."""

    source: PolicySource
    candidate: Candidate | None
    signed: DeliveredPolicy | None

    def recorder(self, log: Recorder | None, opa: Path, metrics: Metrics) -> Recorder | None:
        """Return who gets every decision: a log, the candidate's engine, both or nobody."""
        if self.candidate is not None:
            self.candidate.ask(ManagedOpa(opa), KNOWN_OBLIGATIONS, metrics)
        return recorder_of(log, self.candidate)


@dataclass(frozen=True, slots=True)
class _Adapters:
    """What the stages stand on."""

    settings: Settings
    store: Store
    kill_switch: KillSwitch
    lease: KillLease
    policy: DecisionPoint
    delivery: AlertDelivery
    registry: Registry
    catalogue: CurrentCatalogue
    metrics: Metrics
    recorder: Recorder | None


@dataclass(frozen=True, slots=True)
class _Guards:
    """What looks at calls and results, and who may make them."""

    lending: Lending
    monitors: Sequence[Monitor]
    live: LiveSecrets
    identities: Identities


def _assemble(
    builder: Builder, policies: _Policies, live: LiveSecrets, masker: Masker
) -> Assembled:
    settings, source = builder.settings, policies.source
    bundle, loaded = source.first()
    catalogue = CurrentCatalogue(loaded)
    metrics = Metrics(version("detent"), loaded.reasons)
    metrics.know_tools(catalogue.names())
    store, engine, flights = builder.store(), builder.engine(source.probe), InFlight()
    kill_switch = KillSwitch(store, HaltFile(settings.halt_file), flights)
    lease = KillLease(LeaseTerms(settings.kill.lease), is_authority=settings.has_own_ledger)
    policy = DecisionPoint(engine, bundle, settings.policy.deadline, KNOWN_OBLIGATIONS)
    decisions = decision_log_of(settings, engine, metrics, masker)
    http = builder.alert_client()
    delivery = AlertDelivery(store, builder.sinks(http), metrics)
    monitors, lending = builder.monitors(), Lending(builder.brokers(), kill_switch, lease)
    identities, key_sets = identities_of(settings, builder.key_set)
    sidecars, sidecars_closing = sidecar_tokens_of(settings, builder.key_set)
    guards = _Guards(lending, monitors, live, identities)
    registry = Registry({})
    # Last of what can fail: these hold connections, and only a gateway closes them.
    registry.serve(builder.upstreams(catalogue, registry.mark_stale))
    adapters = _Adapters(
        settings, store, kill_switch, lease, policy, delivery, registry, catalogue, metrics,
        policies.recorder(decisions, builder.opa, metrics),
    )  # fmt: skip
    stages = _stages(adapters, guards)
    relay = Relay(lease) if settings.listen.attach else None
    keeper = _keeper(adapters, builder.authority(), relay)
    parts = Parts(
        store, kill_switch, keeper, Lapse(lease, flights), EffectWatch(lease, store, relay), relay,
        flights, engine, policy, registry, stages.resolve, stages.admit, delivery, http, metrics,
        source, catalogue,
        (identities.close, *(one.close for one in key_sets), *sidecars_closing),
        sidecars, decisions, policies.signed, policies.candidate,
    )  # fmt: skip
    pipeline = Pipeline(stages, kill_switch, flights, metrics)
    beside = aftermath_of(parts, settings, stages, pipeline, lease)
    gateway = Gateway(parts, bundle, beside.start if beside else None)
    return Assembled(gateway, pipeline, settings, builder, source, policies.candidate)


def _keeper(on: _Adapters, connect: Connect | None, relay: Relay | None) -> Keeper:
    """Return who keeps the kill lease: who is its own authority does it beside its calls."""
    if connect is None:
        return LeaseKeeper(on.lease, on.kill_switch, on.store, relay)
    keeper = partial(LeaseKeeper, on.lease, on.kill_switch, relay=relay)
    return LeaseThread(connect, keeper, on.delivery.raise_alert)


def _stages(on: _Adapters, guards: _Guards) -> Stages:
    """Return the walk."""
    store, kill_switch, metrics = on.store, on.kill_switch, on.metrics
    desk, settling = SessionDesk(store, on.catalogue.limits), Settling(store)
    inspection = Inspection(guards.monitors, store, on.delivery.raise_alert, metrics)
    tokens = KnownTokens(
        frozenset({*principals_of(on.settings), *operators_of(on.settings)}), store
    )
    response_filter = ResponseFilter(inspection, guards.live, tokens, guards.lending.take_back)
    watched = Undecided(on.delivery.raise_alert)
    recorder = Both(watched, on.recorder) if on.recorder else watched
    decider = Decider(on.policy, metrics, recorder)
    resolver = Resolver(on.catalogue.tools, on.registry, on.settings.credentials)
    starts = Starts(kill_switch, on.lease, metrics, on.delivery.raise_alert)
    dispatch = Dispatch(on.registry, starts, store, metrics)
    converse = Converse(resolver, decider, settling, Surveys(urls_in, flags_in))
    reserving = Reserving(store, on.catalogue.limits, on.lease.holder)
    return Stages(
        authenticate=Authenticator(principals_of(on.settings), store, desk, guards.identities),
        admit=Admission(kill_switch, on.lease, store, on.catalogue.limits),
        inspect=inspection,
        resolve=resolver,
        approve=_approving(on, settling),
        decide=decider,
        lend=guards.lending,
        reserve=reserving,
        effect=Effect(guards.lending, dispatch, response_filter, settling, kill_switch, converse),
        settle=settling,
        visible=Visibility(resolver, on.policy),
        desk=desk,
        watch=Watching(resolver, on.registry),
        hooked=HookSessions(store, desk, kill_switch),
        permit=Permits(store, reserving, response_filter, settling, kill_switch),
        health=Health(store, on.policy, on.lease),
    )


def _approving(on: _Adapters, settling: Settling) -> Approving:
    terms = Terms(timedelta(seconds=on.settings.approvals.expires))
    alert = on.delivery.raise_alert
    return Approving(on.store, on.kill_switch, settling, alert, lambda: on.policy.revision, terms)
