"""Settings in, adapters out. This file, and no other, names implementations.

To add one: copy a sibling of its `base.py`, add a row to a table at the end.
"""

from collections.abc import Callable
from pathlib import Path

import httpx

from credentials.base import Broker, BrokerMisconfigured
from credentials.jwt_broker import JwtBroker
from credentials.keys import KeyDirectory
from credentials.static_broker import StaticBroker
from proxy.app.policies import CurrentCatalogue
from proxy.app.secrets import Secrets
from proxy.config import Settings
from proxy.config.settings import BrokerSettings, Server
from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.errors import ConfigError, EgressRefused
from proxy.monitors.alerts.webhook import WebhookSink, webhook_secret
from proxy.monitors.base import AlertSink, Monitor
from proxy.monitors.canary import Canary, CanaryMonitor
from proxy.pdp.base import PolicyEngine
from proxy.pdp.managed_opa import ManagedOpa, Probe
from proxy.pdp.opa import RemoteOpa
from proxy.process.child import ChildSpec
from proxy.stores.base import Store
from proxy.stores.sqlite import SqliteStore
from proxy.upstream.base import Upstream
from proxy.upstream.http import HttpUpstream
from proxy.upstream.mcp_http import McpHttp
from proxy.upstream.mcp_stdio import McpStdio

TOOLS = Path(__file__).parents[2] / ".tools" / "bin"
ALERT_TIMEOUT_S = 5.0


class Builder:
    """Makes the adapters that the settings name. All methods raise ConfigError with the cure."""

    def __init__(self, settings: Settings, secrets: Secrets, opa: Path) -> None:
        self.settings = settings
        self.secrets = secrets
        self.opa = opa
        self.key_directories: dict[str, KeyDirectory] = {}

    def store(self) -> Store:
        """Return the ledger."""
        return STORES[self.settings.store.partition(":")[0]](self)

    def engine(self, probe: Probe) -> PolicyEngine:
        """Return the policy engine; `probe` looks at each bundle before it decides anything."""
        return ENGINES[self.settings.policy.engine](self, probe)

    def upstreams(
        self, catalogue: CurrentCatalogue, on_changed: Callable[[], None]
    ) -> dict[str, Upstream]:
        """Return the servers by name; needs a running event loop."""
        return {name: self.upstream(name, catalogue, on_changed) for name in self.settings.servers}

    def upstream(
        self, name: str, catalogue: CurrentCatalogue, on_changed: Callable[[], None]
    ) -> Upstream:
        """Return one server; needs a running event loop."""
        make = UPSTREAMS[_kind(self.settings.servers[name])]
        return make(self, name, catalogue, on_changed)

    def brokers(self) -> dict[str, Broker]:
        """Return the credential brokers by the name manifests use."""
        try:
            return {
                name: BROKERS["jwt" if one.jwt else "static"](self, name, one)
                for name, one in self.settings.credentials.items()
            }
        except BrokerMisconfigured as error:
            raise ConfigError((f"credentials: {error}",)) from None

    def monitors(self) -> list[Monitor]:
        """Return the monitors."""
        try:
            canaries = [
                Canary(one.name, self.secrets.read(one.token, f"canaries.{one.name}"))
                for one in self.settings.canaries
            ]
            return [CanaryMonitor(canaries)] if canaries else []
        except ValueError as error:
            raise ConfigError((f"canaries: {error}",)) from None

    def alert_client(self) -> httpx.AsyncClient:
        """Return the HTTP client of the alert sinks."""
        return httpx.AsyncClient(timeout=ALERT_TIMEOUT_S, trust_env=False, follow_redirects=False)

    def sinks(self, http: httpx.AsyncClient) -> list[AlertSink]:
        """Return the alert sinks."""
        try:
            return [
                WebhookSink(
                    one.webhook.url,
                    webhook_secret(self.secrets.read(one.webhook.secret, "alerts")),
                    http,
                )
                for one in self.settings.alerts
            ]
        except ValueError as error:
            raise ConfigError((f"alerts: {error}",)) from None

    def egress(self, name: str, url: str, *, allow_private: bool) -> EgressClient:
        """Return a server's own HTTP client."""
        try:
            return EgressClient(url, AddressPolicy(allow_private=allow_private))
        except EgressRefused as error:
            raise ConfigError((f"servers.{name}: {error}",)) from None

    def server(self, name: str) -> Server:
        """Return a server's settings."""
        return self.settings.servers[name]


def _kind(server: Server) -> str:
    if server.http is not None:
        return "http"
    return "mcp_stdio" if server.mcp and server.mcp.command else "mcp_http"


def _sqlite(builder: Builder) -> Store:
    return SqliteStore(builder.settings.database)


def _managed(builder: Builder, probe: Probe) -> PolicyEngine:
    return ManagedOpa(builder.opa, probe)


def _remote(builder: Builder, _probe: Probe) -> PolicyEngine:
    remote = builder.settings.policy.remote
    if remote is None:
        raise ConfigError(("policy.remote: give the url of the OPA",))
    url = httpx.URL(remote.url)
    token = builder.secrets.read(remote.token, "policy.remote") if remote.token else None
    return RemoteOpa(url.host, url.port or 8181, tls=url.scheme == "https", token=token)


def _mcp_stdio(
    builder: Builder, name: str, _: CurrentCatalogue, on_changed: Callable[[], None]
) -> Upstream:
    server = builder.server(name)
    command = server.mcp.command if server.mcp else ()
    directory = builder.settings.path(server.cwd or Path())
    spec = ChildSpec(command=command, env=server.env, cwd=directory, user=server.user, name=name)
    return McpStdio(spec, on_changed)


def _mcp_http(
    builder: Builder, name: str, _: CurrentCatalogue, on_changed: Callable[[], None]
) -> Upstream:
    server = builder.server(name)
    url = server.mcp.url if server.mcp else ""
    client = builder.egress(name, url, allow_private=server.allow_private)
    return McpHttp(name, client, on_changed=on_changed)


def _http(
    builder: Builder, name: str, catalogue: CurrentCatalogue, _: Callable[[], None]
) -> Upstream:
    server = builder.server(name)
    url = server.http.base_url if server.http else ""
    client = builder.egress(name, url, allow_private=server.allow_private)
    return HttpUpstream(name, client, lambda: catalogue.of_server(name))


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


STORES: dict[str, Callable[[Builder], Store]] = {"sqlite": _sqlite}
ENGINES: dict[str, Callable[[Builder, Probe], PolicyEngine]] = {
    "managed": _managed,
    "remote": _remote,
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
