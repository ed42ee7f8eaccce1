"""Adapters in, a gateway and its two applications out: the wiring of the stages."""

import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from proxy.app.build import Builder
from proxy.app.gateway import Gateway, Parts
from proxy.app.identity import (
    authorization_servers,
    identities_of,
    operators_of,
    principals_of,
    scopes_of_settings,
)
from proxy.app.policies import CurrentCatalogue, PolicySource
from proxy.app.secrets import Secrets
from proxy.app.servers import OPERATORS_CONNECTIONS, Port, Servers, authority, bind, room_for
from proxy.config import Settings
from proxy.config.settings import Address
from proxy.ingress.agents import agents_app
from proxy.ingress.canonical import flags_in, urls_in
from proxy.ingress.guard import GuardSettings, loopback_hosts
from proxy.ingress.oauth import ProtectedResource
from proxy.ingress.operator import OperatorPorts, operator_app
from proxy.ingress.origins import NO_PAGES, Origins
from proxy.ingress.protocol import ConnectionLimits
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.switch import KillSwitch
from proxy.monitors.alerts.delivery import AlertDelivery
from proxy.monitors.live_secrets import LiveSecrets
from proxy.observability.masking import Masker
from proxy.observability.metrics import Metrics
from proxy.pdp.decision import DecisionPoint
from proxy.pipeline.admit import Admission
from proxy.pipeline.approve import Approving, Terms
from proxy.pipeline.authenticate import Authenticator
from proxy.pipeline.converse import Converse, Surveys
from proxy.pipeline.decide import Decider
from proxy.pipeline.dispatch import Dispatch
from proxy.pipeline.effect import Effect
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS
from proxy.pipeline.filter import KnownTokens, ResponseFilter
from proxy.pipeline.health import Health
from proxy.pipeline.hooked import HookSessions
from proxy.pipeline.inspect import Inspection
from proxy.pipeline.lease import Lending
from proxy.pipeline.permit import Permits
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
                self._guard(listen.agents, agents.getsockname()[1], self._pages()),
                jwks=self._jwks,
                version=version("detent"),
                resource=self._resource(),
            )
            ports = OperatorPorts(
                kill_switch=parts.kill_switch,
                store=parts.store,
                metrics=parts.metrics,
                operators=operators_of(self.settings),
                reload=self.gateway.reload_policy,
                hooked=parts.catalogue.hooked,
                configured=lambda: scopes_of_settings(self.settings, parts.catalogue.names()),
            )
            operators_door = operator_app(
                ports, self._guard(listen.operators, operators.getsockname()[1])
            )
            agents_limits = ConnectionLimits(room_for(listen.max_connections))
            operators_limits = ConnectionLimits(OPERATORS_CONNECTIONS)
            servers = Servers(
                (
                    Port(agents_door, agents, tls, agents_limits),
                    Port(operators_door, operators, tls, operators_limits),
                )
            )
            unless_bound.pop_all()
        return servers

    def _resource(self) -> ProtectedResource | None:
        """Return who we are to OAuth clients; without issuers there is nobody to ask."""
        url = self.settings.listen.public_url
        if url is None or not self.settings.identity.issuers:
            return None
        return ProtectedResource(url, authorization_servers(self.settings))

    def cleanup(self) -> None:
        """Remove what lies on disk only while we run."""
        self.source.cleanup()

    def _guard(self, address: Address, port: int, pages: Origins = NO_PAGES) -> GuardSettings:
        """Return the guard of a port: which names clients may use for it, and which pages."""
        listen = self.settings.listen
        public = urlsplit(listen.public_url or "").netloc if address is listen.agents else ""
        named = names_of((*listen.hosts, *filter(None, (public,))), port)
        own = authority(address.host.lower(), port)
        return GuardSettings(hosts=loopback_hosts(port) | named | {own}, origins=pages)

    def _pages(self) -> Origins:
        """Return the pages that may ask the agents' port.

        Those of its own origin only where it is on loopback: behind a proxy the same name may
        serve pages of others.
        """
        listen = self.settings.listen
        scheme = "https" if listen.tls_cert else "http"
        own = scheme if listen.agents.is_loopback and not listen.tls_terminated else ""
        return Origins(frozenset(listen.origins), own)

    def _jwks(self) -> Mapping[str, Any]:
        directories = self.builder.key_directories.values()
        return {"keys": [key for keys in directories for key in keys.jwks()["keys"]]}


def assemble(settings: Settings, environ: Mapping[str, str], masker: Masker) -> Assembled:
    """Build everything and start nothing; needs a running event loop.

    Every secret is made known to `masker` before anything else gets it. Raises ConfigError,
    PolicyInvalid.
    """
    live = LiveSecrets()
    builder = Builder(settings, Secrets(settings, environ, partial(_learn, masker, live)))
    source = PolicySource(settings.path(settings.policy.bundle), builder.opa)
    with ExitStack() as unless_assembled:
        unless_assembled.callback(source.cleanup)
        assembled = _assemble(builder, source, live)
        unless_assembled.pop_all()
    return assembled


def _learn(masker: Masker, live: LiveSecrets, place: str, value: str) -> None:
    """Make a secret known to logs and to the response filter; canaries have their own monitor."""
    masker.add(value)
    if not place.startswith("canaries."):
        live.add(place, value)


def _assemble(builder: Builder, source: PolicySource, live: LiveSecrets) -> Assembled:
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
    identities, key_sets = identities_of(settings, builder.key_set)
    registry = Registry({})
    # Last of what can fail: these hold connections, and only a gateway closes them.
    registry.serve(builder.upstreams(catalogue, registry.mark_stale))
    resolver = Resolver(loaded.tools, registry)
    dispatch = Dispatch(registry, kill_switch, store, metrics)
    decider = Decider(policy, metrics)
    converse = Converse(resolver, decider, settling, Surveys(urls_in, flags_in))
    tokens = KnownTokens(frozenset({*principals_of(settings), *operators_of(settings)}), store)
    response_filter = ResponseFilter(inspection, live, tokens, lending.take_back)
    reserving = Reserving(store, catalogue.limits)
    stages = Stages(
        authenticate=Authenticator(principals_of(settings), store, desk, identities),
        admit=Admission(kill_switch, store, catalogue.limits),
        inspect=inspection,
        resolve=resolver,
        approve=Approving(
            store,
            kill_switch,
            settling,
            delivery.raise_alert,
            lambda: policy.revision,
            Terms(timedelta(seconds=settings.approvals.expires)),
        ),
        decide=decider,
        lend=lending,
        reserve=reserving,
        effect=Effect(lending, dispatch, response_filter, settling, kill_switch, converse),
        settle=settling,
        visible=Visibility(resolver, policy),
        desk=desk,
        watch=Watching(resolver, registry),
        hooked=HookSessions(store, desk, kill_switch),
        permit=Permits(store, reserving, response_filter, settling, kill_switch),
        health=Health(store, policy),
    )
    parts = Parts(
        store, kill_switch, flights, engine, policy, registry, resolver, stages.admit,
        delivery, http, metrics, source, catalogue,
        (identities.close, *(one.close for one in key_sets)),
    )  # fmt: skip
    pipeline = Pipeline(stages, kill_switch, flights, metrics)
    return Assembled(Gateway(parts, bundle), pipeline, settings, builder, source)


def names_of(hosts: Iterable[str], port: int) -> frozenset[str]:
    """Return what clients may write in Host for these names: one without a port with ours too."""
    plain = frozenset(name.lower() for name in hosts)
    return plain | {f"{name}:{port}" for name in plain if not re.search(r":\d+$", name)}
