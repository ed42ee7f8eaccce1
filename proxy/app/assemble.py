"""Adapters in, a gateway and its two applications out: the wiring of the stages."""

import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from proxy.app.build import Builder
from proxy.app.gateway import Gateway, Parts
from proxy.app.policies import CurrentCatalogue, PolicySource
from proxy.app.secrets import Secrets
from proxy.app.servers import Port, Servers, authority, bind
from proxy.config import Settings
from proxy.config.settings import Address
from proxy.ingress.agents import agents_app
from proxy.ingress.canonical import flags_in, urls_in
from proxy.ingress.guard import GuardSettings, loopback_hosts
from proxy.ingress.operator import OperatorPorts, operator_app
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.switch import KillSwitch
from proxy.model.session import Operator, Principal
from proxy.monitors.alerts.delivery import AlertDelivery
from proxy.observability.masking import Masker
from proxy.observability.metrics import Metrics
from proxy.pdp.decision import DecisionPoint
from proxy.pipeline.admit import Admission
from proxy.pipeline.authenticate import Authenticator
from proxy.pipeline.converse import Converse, Surveys
from proxy.pipeline.decide import Decider
from proxy.pipeline.dispatch import Dispatch
from proxy.pipeline.effect import Effect
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS
from proxy.pipeline.inspect import Inspection
from proxy.pipeline.lease import Lending
from proxy.pipeline.reserve import Reserving
from proxy.pipeline.resolve import Resolver
from proxy.pipeline.run import Pipeline, Stages
from proxy.pipeline.sessions import SessionDesk
from proxy.pipeline.settle import Settling
from proxy.pipeline.visible import Visibility
from proxy.pipeline.watch import Watching
from proxy.upstream.registry import Registry


@dataclass(frozen=True, slots=True)
class Assembled:
    """A gateway that is ready to start, the walk its doors use, and what it was made from."""

    gateway: Gateway
    pipeline: Pipeline
    settings: Settings
    builder: Builder
    source: PolicySource

    def bind(self) -> Servers:
        """Bind both ports. Raises ConfigError; then neither is bound."""
        listen, parts, tls = self.settings.listen, self.gateway.parts, self.builder.secrets.tls()
        with ExitStack() as unless_bound:
            agents = unless_bound.enter_context(bind(listen.agents))
            operators = unless_bound.enter_context(bind(listen.operators))
            agents_door = agents_app(
                self.pipeline,
                self._guard(listen.agents, agents.getsockname()[1]),
                jwks=self._jwks,
                version=version("detent"),
            )
            ports = OperatorPorts(
                kill_switch=parts.kill_switch,
                store=parts.store,
                metrics=parts.metrics,
                operators=operators_of(self.settings),
                reload=self.gateway.reload_policy,
            )
            operators_door = operator_app(
                ports, self._guard(listen.operators, operators.getsockname()[1])
            )
            servers = Servers(
                (Port(agents_door, agents, tls), Port(operators_door, operators, tls))
            )
            unless_bound.pop_all()
        return servers

    def cleanup(self) -> None:
        """Remove what lies on disk only while we run."""
        self.source.cleanup()

    def _guard(self, address: Address, port: int) -> GuardSettings:
        """Return the guard of a port: which names clients may use for it."""
        named = names_of(self.settings.listen.hosts, port)
        own = authority(address.host.lower(), port)
        return GuardSettings(hosts=loopback_hosts(port) | named | {own})

    def _jwks(self) -> Mapping[str, Any]:
        directories = self.builder.key_directories.values()
        return {"keys": [key for keys in directories for key in keys.jwks()["keys"]]}


def assemble(settings: Settings, environ: Mapping[str, str], masker: Masker) -> Assembled:
    """Build everything and start nothing; needs a running event loop.

    Every secret is made known to `masker` before anything else gets it. Raises ConfigError,
    PolicyInvalid.
    """
    builder = Builder(settings, Secrets(settings, environ, masker.add))
    source = PolicySource(settings.path(settings.policy.bundle), builder.opa)
    with ExitStack() as unless_assembled:
        unless_assembled.callback(source.cleanup)
        assembled = _assemble(builder, source)
        unless_assembled.pop_all()
    return assembled


def _assemble(builder: Builder, source: PolicySource) -> Assembled:
    settings = builder.settings
    bundle, loaded = source.stage()
    catalogue = CurrentCatalogue(loaded)
    metrics = Metrics(version("detent"), loaded.reasons)
    metrics.know_tools(catalogue.names())
    store, engine = builder.store(), builder.engine(source.probe)
    flights = InFlight()
    halt_file = HaltFile(settings.database.with_suffix(".halt"))
    kill_switch = KillSwitch(store, halt_file, flights)
    policy = DecisionPoint(engine, bundle, settings.policy.deadline, KNOWN_OBLIGATIONS)
    http = builder.alert_client()
    delivery = AlertDelivery(store, builder.sinks(http), metrics)
    desk = SessionDesk(store, catalogue.limits)
    inspection = Inspection(builder.monitors(), store, delivery.raise_alert, metrics)
    lending, settling = Lending(builder.brokers(), kill_switch), Settling(store)
    registry = Registry({})
    # Last of what can fail: these hold connections, and only a gateway closes them.
    registry.serve(builder.upstreams(catalogue, registry.mark_stale))
    resolver = Resolver(loaded.tools, registry)
    dispatch = Dispatch(registry, kill_switch, store, metrics)
    decider = Decider(policy, metrics)
    converse = Converse(resolver, decider, inspection, settling, Surveys(urls_in, flags_in))
    stages = Stages(
        authenticate=Authenticator(principals_of(settings), store, desk),
        admit=Admission(kill_switch, store, catalogue.limits),
        inspect=inspection,
        resolve=resolver,
        decide=decider,
        lend=lending,
        reserve=Reserving(store, catalogue.limits),
        effect=Effect(lending, dispatch, inspection, settling, kill_switch, converse),
        settle=settling,
        visible=Visibility(resolver, policy),
        desk=desk,
        watch=Watching(resolver, registry),
    )
    parts = Parts(
        store, kill_switch, flights, engine, policy, registry, resolver, stages.admit,
        delivery, http, metrics, source, catalogue,
    )  # fmt: skip
    pipeline = Pipeline(stages, kill_switch, flights, metrics)
    return Assembled(Gateway(parts, bundle), pipeline, settings, builder, source)


def names_of(hosts: Iterable[str], port: int) -> frozenset[str]:
    """Return what clients may write in Host for these names: one without a port with ours too."""
    plain = frozenset(name.lower() for name in hosts)
    return plain | {f"{name}:{port}" for name in plain if not re.search(r":\d+$", name)}


def principals_of(settings: Settings) -> dict[str, Principal]:
    """Return the static agents by the SHA-256 of their tokens."""
    return {
        agent.token_sha256: Principal(
            tenant=agent.tenant,
            agent=agent.name,
            roles=agent.roles,
            max_mode=agent.max_mode,
            dry_run=agent.dry_run or settings.dry_run,
        )
        for agent in settings.identity.agents
    }


def operators_of(settings: Settings) -> dict[str, Operator]:
    """Return the static operators by the SHA-256 of their tokens."""
    return {
        one.token_sha256: Operator(one.name, one.roles, one.tenants)
        for one in settings.identity.operators
    }
