"""The shape of `detent.yaml`: every field with its unit and meaning, unknown keys refused."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from proxy.config.attach import Attach
from proxy.config.blocks import Block, Duration, Name, SecretSource
from proxy.config.identity import Identity
from proxy.config.policy import Policy

_LOCAL = ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")
PageOrigin = Annotated[
    str, Field(pattern=r"^https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$")
]


class Address(Block):
    """Host and port to bind."""

    host: str
    port: int = Field(ge=0, le=65535)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host == "localhost" or ip_address(self.host).is_loopback


def _address(value: object) -> object:
    host, _, port = str(value).rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("an address is host:port, such as 127.0.0.1:8787")
    return {"host": host.strip("[]"), "port": int(port)}


ListenAddress = Annotated[Address, BeforeValidator(_address)]


class Listen(Block):
    """The ports. Anything but loopback needs TLS, our own or declared in front of us."""

    agents: ListenAddress = Address(host="127.0.0.1", port=8787)
    operators: ListenAddress = Address(host="127.0.0.1", port=8788)
    attach: ListenAddress | None = Field(default=None, description="for sidecars; off if unset")
    health: ListenAddress | None = Field(
        default=None, description="/healthz and /readyz for probes, in plain HTTP; off if unset"
    )
    tls_cert: Path | None = Field(default=None, description="PEM chain")
    tls_key: Path | None = Field(default=None, description="PEM key, 0600")
    tls_terminated: bool = Field(default=False, description="a proxy in front speaks TLS for us")
    hosts: tuple[str, ...] = Field(default=(), description="more names clients may use in Host")
    origins: tuple[PageOrigin, ...] = Field(
        default=(), description="pages that may ask the agents' port, such as http://localhost:6274"
    )
    public_url: PageOrigin | None = Field(
        default=None, description="the agents' port as clients know it; issuers need it"
    )
    max_connections: int = Field(
        default=1_000, ge=16, le=100_000, description="connections the agents' port holds at once"
    )

    @field_validator("public_url")
    @classmethod
    def _public_means_tls(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("https://", *_LOCAL)):
            raise ValueError("agents send tokens there: it has to begin with https://")
        return url

    @model_validator(mode="after")
    def _tls_beyond_loopback(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        ports = (self.agents, self.operators, self.attach)
        beyond = any(port is not None and not port.is_loopback for port in ports)
        if beyond and self.tls_cert is None and not self.tls_terminated:
            raise ValueError(
                "binding beyond loopback needs tls_cert and tls_key, or tls_terminated: true"
            )
        return self


class McpServer(Block):
    """An MCP server: a command we run, or a URL."""

    command: tuple[str, ...] = ()
    url: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("an MCP server has exactly one of `command` and `url`")
        return self


class HttpServer(Block):
    """A plain HTTP service; its tools stand in the manifest."""

    base_url: str
    openapi: Path | None = Field(default=None, description="what `detent tools import` reads")


class Server(Block):
    """A server with tools."""

    mcp: McpServer | None = None
    http: HttpServer | None = None
    user: str | None = Field(default=None, description="the uid a command runs under")
    env: dict[str, str] = Field(default_factory=dict, description="all a command gets to see")
    cwd: Path | None = None
    allow_private: bool = Field(default=False, description="may be loopback or a private address")

    @field_validator("env")
    @classmethod
    def _no_secrets_of_ours(cls, env: dict[str, str]) -> dict[str, str]:
        if any(name.upper().startswith("DETENT_") for name in env):
            raise ValueError("DETENT_* is for Detent itself; a tool never gets it")
        return env

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.mcp is None) == (self.http is None):
            raise ValueError("a server has exactly one of `mcp` and `http`")
        return self


class JwtSettings(Block):
    """Call tokens, signed by us."""

    issuer: str
    keys: Path = Field(description="key directory, 0700")


class StaticSettings(Block):
    """A header from a secret, for tools that know only keys."""

    header: str = "Authorization"
    prefix: str = ""
    secret: SecretSource
    allow_writes: bool = Field(default=False, description="the manifest has to opt in as well")


class BrokerSettings(Block):
    """One broker, by the name manifests use."""

    jwt: JwtSettings | None = None
    static: StaticSettings | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.jwt is None) == (self.static is None):
            raise ValueError("a broker has exactly one of `jwt` and `static`")
        return self


class Webhook(Block):
    """A signed webhook (Standard Webhooks)."""

    url: str
    secret: SecretSource


class AlertSettings(Block):
    """One alert sink."""

    webhook: Webhook


class CanarySettings(Block):
    """Bait that nobody has a reason to touch."""

    name: Name
    token: SecretSource


class Approvals(Block):
    """Calls that policy holds until an operator approves them."""

    expires: Duration = Field(
        default=900.0, gt=0, le=86_400, description="seconds to approve a call and to make it"
    )


class Kill(Block):
    """The kill switch."""

    lease: Duration = Field(
        default=2.0,
        ge=0.5,
        le=2.5,
        description="seconds a process may start calls without hearing from the kill log",
    )
    halt_file: Path | None = Field(
        default=None, description="kills the ledger could not take; beside the ledger if unset"
    )


class Settings(Block):
    """Everything in `detent.yaml`."""

    store: str = Field(
        default="sqlite:///var/detent.db", pattern=r"^(sqlite:///|postgres(ql)?://).+$"
    )
    store_password: SecretSource | None = Field(default=None, description="of a PostgreSQL store")
    workers: int = Field(
        default=1, ge=1, le=64, description="processes that serve together, on a PostgreSQL store"
    )
    listen: Listen = Listen()
    policy: Policy = Policy()
    identity: Identity = Identity()
    servers: dict[Name, Server] = Field(default_factory=dict)
    credentials: dict[Name, BrokerSettings] = Field(default_factory=dict)
    approvals: Approvals = Approvals()
    attach: Attach = Attach()
    kill: Kill = Kill()
    alerts: tuple[AlertSettings, ...] = ()
    canaries: tuple[CanarySettings, ...] = ()
    dry_run: bool = Field(default=False, description="preview every write of every agent")
    drain: Duration = Field(default=20.0, description="seconds SIGTERM waits for calls in flight")
    directory: Path = Field(default=Path(), description="what relative paths are relative to")

    @field_validator("store")
    @classmethod
    def _no_password(cls, store: str) -> str:
        scheme, _, rest = store.partition("://")
        if scheme != "sqlite" and ":" in rest.rpartition("@")[0]:
            raise ValueError("no password in the URL; name its file or variable in store_password")
        return store

    @model_validator(mode="after")
    def _issuers_need_our_name(self) -> Self:
        if self.identity.issuers and self.listen.public_url is None:
            raise ValueError(
                "identity.issuers needs listen.public_url, such as https://detent.acme"
            )
        return self

    @model_validator(mode="after")
    def _workers_share_a_ledger(self) -> Self:
        if self.workers > 1 and self.attach.url is not None:
            raise ValueError("a sidecar is one process; leave `workers` out, or at 1")
        if self.workers > 1 and self.store.startswith("sqlite:"):
            raise ValueError(
                "more than one of `workers` need a ledger they can share, and a SQLite file is "
                "one process's alone; set store: postgresql://…, or workers: 1"
            )
        return self

    def path(self, given: Path) -> Path:
        """Return a path of the file, relative ones from the file's own directory."""
        return given if given.is_absolute() else self.directory / given

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path(Path(self.store.removeprefix("sqlite:///")))

    @property
    def has_own_ledger(self) -> bool:
        """Whether no other process can write the ledger."""
        return self.store.startswith("sqlite:") and self.attach.url is None

    @property
    def halt_file(self) -> Path:
        """Where kills are kept that the ledger could not take: on this machine, whatever it is."""
        if self.kill.halt_file is not None:
            return self.path(self.kill.halt_file)
        if self.store.startswith("sqlite:"):
            return self.database.with_suffix(".halt")
        return self.path(Path("var/detent.halt"))

    @property
    def policy_state(self) -> Path:
        """The directory of the last good bundles, on this machine."""
        given = self.policy.state
        return self.path(given) if given is not None else self.halt_file.parent / "policy"
