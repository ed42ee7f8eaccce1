"""The ports bound, each with its application: which names, pages and connections it takes."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from proxy.app.build import Builder
from proxy.app.evaluating import evaluator_of, scheme_of
from proxy.app.explaining import Explainer
from proxy.app.gateway import Gateway
from proxy.app.identity import authorization_servers, operators_of, scopes_of_settings, sidecars_of
from proxy.app.listeners import Listeners
from proxy.app.open_files import (
    HEALTH_CONNECTIONS,
    OPERATORS_CONNECTIONS,
    attach_room,
    room_for,
)
from proxy.app.scraping import scraped
from proxy.app.secrets import Tls
from proxy.app.servers import Port, Servers, Sockets, authority
from proxy.app.tiers import tiers_of
from proxy.config import Settings
from proxy.config.settings import Address
from proxy.errors import ConfigError
from proxy.ingress.agents import agents_app
from proxy.ingress.attach import AttachPorts, attach_app
from proxy.ingress.guard import GuardSettings, loopback_hosts
from proxy.ingress.health import health_app
from proxy.ingress.mcp_rounds import Seal
from proxy.ingress.oauth import ProtectedResource
from proxy.ingress.operator import OperatorPorts, operator_app, rendered
from proxy.ingress.operator_explain import Explain
from proxy.ingress.origins import NO_PAGES, Origins
from proxy.ingress.protocol import ConnectionLimits
from proxy.pipeline.run import Pipeline
from proxy.process.siblings import Siblings

ATTACH_BODY_BYTES = 4 * 1_048_576


@dataclass(frozen=True, slots=True)
class Doorways:
    """The ports of a gateway: agents, operators and, when they are set, attach and health."""

    gateway: Gateway
    pipeline: Pipeline
    settings: Settings
    builder: Builder
    siblings: Siblings | None = None

    def bind(self, given: Listeners | None = None) -> Servers:
        """Bind all ports, or take those that are bound already.

        Raises ConfigError; then none is bound.
        """
        listen, tls = self.settings.listen, self.builder.secrets.tls()
        with ExitStack() as unless_bound:
            bound = given or Listeners.bind(listen)
            unless_bound.callback(bound.close)
            agents, *covered = bound.agents
            operators, *others = bound.operators
            agents_door = self._agents(agents.getsockname()[1])
            operators_door = self._operators(operators.getsockname()[1])
            agents_limits = ConnectionLimits(room_for(listen.max_connections))
            operators_limits = ConnectionLimits(OPERATORS_CONNECTIONS)
            servers = Servers(
                (
                    Port(agents_door, agents, tls, agents_limits, tuple(covered)),
                    Port(operators_door, operators, tls, operators_limits, tuple(others)),
                    *(self._attach(one, tls) for one in (bound.attach,) if one),
                    *(self._health(one) for one in (bound.health,) if one),
                )
            )
            unless_bound.pop_all()
        return servers

    def _agents(self, port: int) -> ASGIApp:
        return agents_app(
            self.pipeline,
            self._guard(self.settings.listen.agents, port, self._pages()),
            jwks=self._jwks,
            version=version("detent"),
            resource=self._resource(),
            seal=Seal(lambda: self.gateway.seal_key),
        )

    def _operators(self, port: int) -> ASGIApp:
        parts = self.gateway.parts
        ports = OperatorPorts(
            kill_switch=parts.kill_switch,
            effects=parts.effects.of,
            store=parts.store,
            metrics=parts.metrics,
            operators=operators_of(self.settings),
            reload=self.gateway.reload_policy,
            tiers=lambda: tiers_of(parts.catalogue.tools.values(), self.settings),
            findings=parts.resolver.irregularities,
            configured=lambda: scopes_of_settings(self.settings, parts.catalogue.names()),
            scrape=self._scrape(),
            evaluating=evaluator_of(parts, self.settings),
            scheme=scheme_of(self.settings),
            live=self.gateway.live,
            explain=self._explain(),
        )
        return operator_app(ports, self._guard(self.settings.listen.operators, port))

    def _explain(self) -> Explain | None:
        """Return what explains decisions; None without a decision log."""
        wanted, live = self.settings.policy.log, self.gateway.live
        if wanted is None:
            return None
        log = self.settings.path(wanted.directory)
        return Explainer(log, self.builder.opa, lambda: live.bundle)

    def _scrape(self) -> Callable[[], Awaitable[bytes]] | None:
        """Return what gives the metrics of all workers; None for a gateway of one process."""
        if self.siblings is None:
            return None
        own = partial(rendered, self.gateway.parts.kill_switch, self.gateway.parts.metrics)
        self.siblings.answer(own)
        return partial(scraped, self.siblings, own)

    def _attach(self, bound: Sockets, tls: Tls | None) -> Port:
        parts, address = self.gateway.parts, self.settings.listen.attach
        if parts.relay is None or address is None:
            raise ConfigError(("listen.attach: name the port",))
        ports = AttachPorts(
            sidecars_of(self.settings),
            parts.store,
            parts.kill_switch,
            parts.relay,
            self.gateway.live.archived,
            parts.sidecars,
        )
        guard = self._guard(address, bound[0].getsockname()[1])
        door = attach_app(ports, replace(guard, max_body_bytes=ATTACH_BODY_BYTES))
        limits = ConnectionLimits(attach_room(self.settings.listen.max_connections))
        return Port(door, bound[0], tls, limits, bound[1:])

    def _health(self, bound: Sockets) -> Port:
        limits = ConnectionLimits(HEALTH_CONNECTIONS)
        return Port(health_app(self.pipeline.healthy), bound[0], None, limits, bound[1:])

    def _resource(self) -> ProtectedResource | None:
        """Return who we are to OAuth clients; without issuers there is nobody to ask."""
        url = self.settings.listen.public_url
        if url is None or not self.settings.identity.issuers:
            return None
        return ProtectedResource(url, authorization_servers(self.settings))

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


def names_of(hosts: Iterable[str], port: int) -> frozenset[str]:
    """Return what clients may write in Host for these names: one without a port with ours too."""
    plain = frozenset(name.lower() for name in hosts)
    return plain | {f"{name}:{port}" for name in plain if not re.search(r":\d+$", name)}
