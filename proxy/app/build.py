"""Settings in, adapters out. This file names implementations; ledgers.py those of the store.

To add one: copy a sibling of its `base.py`, add a row to a table at the end.
"""

from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import httpx

from credentials.base import Broker, BrokerMisconfigured
from credentials.jwt_broker import JwtBroker
from credentials.keys import KeyDirectory
from credentials.static_broker import StaticBroker
from proxy.app import ledgers
from proxy.app.policies import CurrentCatalogue
from proxy.app.secrets import Secrets
from proxy.app.wasm import wasm_engine
from proxy.config import Settings
from proxy.config.identity import Issuer, TokenIssuer
from proxy.config.settings import AlertSettings, BrokerSettings, CanarySettings, Server
from proxy.egress.addresses import AddressPolicy, parse_origin
from proxy.egress.client import EgressClient, EgressLimits
from proxy.egress.key_set import KeySetClient
from proxy.egress.tls import tls_context
from proxy.errors import ConfigError, EgressRefused
from proxy.killswitch.lease_thread import Connect
from proxy.monitors.alerts.webhook import WebhookSink, webhook_secret
from proxy.monitors.base import AlertSink, Monitor
from proxy.monitors.canary import Canary, CanaryMonitor
from proxy.pdp.base import PolicyEngine
from proxy.pdp.find_opa import find_opa
from proxy.pdp.managed_opa import ManagedOpa, Probe
from proxy.pdp.opa import RemoteOpa
from proxy.process.child import ChildSpec
from proxy.stores.base import Store
from proxy.upstream.base import Upstream
from proxy.upstream.http import HttpUpstream
from proxy.upstream.mcp_http import McpHttp
from proxy.upstream.mcp_stdio import McpStdio

ALERT_TIMEOUT_S = 5.0
MCP_CONNECTIONS = 512  # calls, and up to 256 streams that are listened to

T = TypeVar("T")


class Builder:
    """Makes the adapters that the settings name.

    All methods raise ConfigError: every problem of theirs, each with its cure.
    """

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self.settings = settings
        self.secrets = secrets
        self.key_directories: dict[str, KeyDirectory] = {}

    @cached_property
    def opa(self) -> Path:
        """The OPA that checks bundles, and evaluates them when it is managed."""
        return find_opa(self.settings.policy.opa).path

    def store(self) -> Store:
        """Return the ledger."""
        return ledgers.store_of(self.settings, self.secrets)

    def authority(self) -> Connect | None:
        """Return how the kill log is asked from another event loop, None where it is ours alone."""
        return ledgers.authority_of(self.settings, self.secrets)

    def engine(self, probe: Probe) -> PolicyEngine:
        """Return the policy engine; `probe` looks at each bundle before it decides anything."""
        return ENGINES[self.settings.policy.engine](self, probe)

    def upstreams(
        self, catalogue: CurrentCatalogue, on_changed: Callable[[str], None]
    ) -> dict[str, Upstream]:
        """Return the servers by name; needs a running event loop.

        `on_changed` is called with the name of a server that says that its list of tools changed.
        """
        names = self.settings.servers
        # All are looked at before one is made: what is made has to be closed again.
        _all((f"servers.{name}", partial(self._check_origin, name)) for name in names)
        return {name: self.upstream(name, catalogue, partial(on_changed, name)) for name in names}

    def upstream(
        self, name: str, catalogue: CurrentCatalogue, on_changed: Callable[[], None]
    ) -> Upstream:
        """Return one server; needs a running event loop."""
        _all([(f"servers.{name}", partial(self._check_origin, name))])
        make = UPSTREAMS[_kind(self.settings.servers[name])]
        return make(self, name, catalogue, on_changed)

    def broker(self, name: str) -> Broker:
        """Return one credential broker."""
        settings = self.settings.credentials[name]
        make = BROKERS["jwt" if settings.jwt else "static"]
        (made,) = _all([(f"credentials.{name}", partial(make, self, name, settings))])
        return made

    def brokers(self) -> dict[str, Broker]:
        """Return the credential brokers by the name manifests use."""
        names = self.settings.credentials
        made = _all((name, partial(self.broker, name)) for name in names)
        return dict(zip(names, made, strict=True))

    def monitors(self) -> list[Monitor]:
        """Return the monitors."""
        canaries = self.settings.canaries
        made = _all((f"canaries.{one.name}", partial(self._canary, one)) for one in canaries)
        return _all([("canaries", partial(CanaryMonitor, made))]) if made else []

    def alert_client(self) -> httpx.AsyncClient:
        """Return the HTTP client of the alert sinks."""
        return httpx.AsyncClient(
            timeout=ALERT_TIMEOUT_S,
            verify=tls_context(),  # its own would write its secrets to SSLKEYLOGFILE
            trust_env=False,
            follow_redirects=False,
        )

    def sinks(self, http: httpx.AsyncClient) -> list[AlertSink]:
        """Return the alert sinks."""
        alerts = enumerate(self.settings.alerts)
        return _all((f"alerts.{n}", partial(self._sink, n, one, http)) for n, one in alerts)

    def egress(self, name: str) -> EgressClient:
        """Return the HTTP client of a server with a URL; needs a running event loop."""
        server = self.settings.servers[name]
        policy = AddressPolicy(allow_private=server.allow_private)
        limits = EgressLimits() if server.mcp is None else EgressLimits(MCP_CONNECTIONS)
        return EgressClient(_url(server), policy, limits)

    def key_set(self, issuer: TokenIssuer) -> KeySetClient:
        """Return what fetches the keys of an issuer."""
        policy = AddressPolicy(allow_private=issuer.allow_private)
        ca_file = str(self.settings.path(issuer.ca_file)) if issuer.ca_file else None
        make = partial(KeySetClient, issuer.jwks_uri, policy, ca_file)
        block = "identity" if isinstance(issuer, Issuer) else "attach"
        (made,) = _all([(f"{block}.issuers: {issuer.issuer}: jwks_uri", make)])
        return made

    def _check_origin(self, name: str) -> None:
        server = self.settings.servers[name]
        if url := _url(server):
            parse_origin(url, AddressPolicy(allow_private=server.allow_private))

    def _canary(self, settings: CanarySettings) -> Canary:
        return Canary(settings.name, self.secrets.read(settings.token, f"canaries.{settings.name}"))

    def _sink(self, number: int, settings: AlertSettings, http: httpx.AsyncClient) -> AlertSink:
        secret = self.secrets.read(settings.webhook.secret, f"alerts.{number}")
        return WebhookSink(settings.webhook.url, webhook_secret(secret), http)


def _all(makers: Iterable[tuple[str, Callable[[], T]]]) -> list[T]:
    """Make everything, or tell every problem with its place. Raises ConfigError."""
    made: list[T] = []
    problems: list[str] = []
    for place, make in makers:
        try:
            made.append(make())
        except ConfigError as error:
            problems += error.problems
        except (BrokerMisconfigured, EgressRefused, ValueError) as error:
            problems.append(f"{place}: {error}")
    if problems:
        raise ConfigError(tuple(problems))
    return made


def _kind(server: Server) -> str:
    if server.http is not None:
        return "http"
    return "mcp_stdio" if server.mcp and server.mcp.command else "mcp_http"


def _url(server: Server) -> str:
    """Return where a server is; empty when it is a command."""
    if server.http is not None:
        return server.http.base_url
    return server.mcp.url if server.mcp else ""


def _managed(builder: Builder, probe: Probe) -> PolicyEngine:
    return ManagedOpa(builder.opa, probe)


def _remote(builder: Builder, _probe: Probe) -> PolicyEngine:
    remote = builder.settings.policy.remote
    if remote is None:
        raise ConfigError(("policy.remote: give the url of the OPA",))
    looked_at = partial(parse_origin, remote.url, AddressPolicy(allow_private=True))
    (origin,) = _all([("policy.remote.url", looked_at)])
    if origin.path.strip("/"):
        raise ConfigError(("policy.remote.url: OPA is asked at its root; leave the path out",))
    token = builder.secrets.read(remote.token, "policy.remote.token") if remote.token else None
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return RemoteOpa(host, origin.port, tls=origin.scheme == "https", token=token)


def _mcp_stdio(
    builder: Builder, name: str, _: CurrentCatalogue, on_changed: Callable[[], None]
) -> Upstream:
    server = builder.settings.servers[name]
    command = server.mcp.command if server.mcp else ()
    directory = builder.settings.path(server.cwd or Path())
    spec = ChildSpec(command=command, env=server.env, cwd=directory, user=server.user, name=name)
    return McpStdio(spec, on_changed)


def _mcp_http(
    builder: Builder, name: str, _: CurrentCatalogue, on_changed: Callable[[], None]
) -> Upstream:
    return McpHttp(name, builder.egress(name), on_changed=on_changed)


def _http(
    builder: Builder, name: str, catalogue: CurrentCatalogue, _: Callable[[], None]
) -> Upstream:
    return HttpUpstream(name, builder.egress(name), lambda: catalogue.of_server(name))


def _jwt(builder: Builder, name: str, settings: BrokerSettings) -> Broker:
    if settings.jwt is None:
        raise ConfigError((f"credentials.{name}: a jwt block is needed",))
    keys = KeyDirectory.open(builder.settings.path(settings.jwt.keys))
    builder.key_directories[name] = keys
    return JwtBroker(keys, settings.jwt.issuer, name=name)


def _static(builder: Builder, name: str, settings: BrokerSettings) -> Broker:
    static = settings.static
    if static is None:
        raise ConfigError((f"credentials.{name}: a static block is needed",))
    source = builder.secrets.open(static.secret, f"credentials.{name}.static.secret")
    return StaticBroker(
        name, static.header, static.prefix, source, allow_writes=static.allow_writes
    )


ENGINES: dict[str, Callable[[Builder, Probe], PolicyEngine]] = {
    "managed": _managed,
    "remote": _remote,
    "wasm": lambda builder, probe: wasm_engine(builder.opa, probe),
}
UPSTREAMS: dict[str, Callable[[Builder, str, CurrentCatalogue, Callable[[], None]], Upstream]] = {
    "http": _http,
    "mcp_http": _mcp_http,
    "mcp_stdio": _mcp_stdio,
}
BROKERS: dict[str, Callable[[Builder, str, BrokerSettings], Broker]] = {
    "jwt": _jwt,
    "static": _static,
}
