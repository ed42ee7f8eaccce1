"""The shape of `detent.yaml`: every field with its unit and meaning, unknown keys refused."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from proxy.model.session import Mode

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: object) -> float:
    """Read `250ms`, `2s`, `5m` or `1h`. Raises ValueError."""
    match = _DURATION.fullmatch(str(value))
    if match is None:
        raise ValueError("a duration with its unit is needed, such as 250ms, 2s or 5m")
    return float(match[1]) * _SECONDS[match[2]]


Duration = Annotated[float, BeforeValidator(seconds)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,62}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Block(BaseModel):
    """A block of the file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretSource(Block):
    """Where a secret is: a file (0600) or an environment variable."""

    file: Path | None = Field(default=None, description="path of a file only we may read")
    env: str | None = Field(default=None, description="name of an environment variable")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.env is None):
            raise ValueError("name the secret by exactly one of `file` and `env`")
        return self


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
    tls_cert: Path | None = Field(default=None, description="PEM chain")
    tls_key: Path | None = Field(default=None, description="PEM key, 0600")
    tls_terminated: bool = Field(default=False, description="a proxy in front speaks TLS for us")
    hosts: tuple[str, ...] = Field(default=(), description="more names clients may use in Host")

    @model_validator(mode="after")
    def _tls_beyond_loopback(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        beyond = not (self.agents.is_loopback and self.operators.is_loopback)
        if beyond and self.tls_cert is None and not self.tls_terminated:
            raise ValueError(
                "binding beyond loopback needs tls_cert and tls_key, or tls_terminated: true"
            )
        return self


class RemotePolicy(Block):
    """An OPA that others run."""

    url: str = Field(description="such as http://127.0.0.1:8181")
    token: SecretSource | None = None


class Policy(Block):
    """Where policies come from and what evaluates them."""

    bundle: Path = Path("policies")
    engine: Literal["managed", "remote"] = "managed"
    deadline: Duration = Field(default=0.25, description="seconds until no answer is a deny")
    opa: Path | None = Field(default=None, description="the opa binary; found by itself if unset")
    remote: RemotePolicy | None = None

    @model_validator(mode="after")
    def _remote_has_its_block(self) -> Self:
        if self.engine == "remote" and self.remote is None:
            raise ValueError("engine remote needs policy.remote.url")
        return self


class Agent(Block):
    """A static agent, known by the hash of its token (`detent token new agent`)."""

    name: Name
    tenant: Name
    roles: tuple[Name, ...] = ()
    token_sha256: Sha256
    max_mode: Mode = Mode.READ_WRITE
    dry_run: bool = Field(default=False, description="preview its writes whatever it asks")


class OperatorEntry(Block):
    """An operator, known by the hash of its token (`detent token new operator`)."""

    name: Name
    roles: tuple[Literal["kill", "lift", "view", "approve", "policy"], ...]
    tenants: tuple[str, ...] = Field(description="tenants it may act on; ['*'] for all")
    token_sha256: Sha256


class Identity(Block):
    """Who may speak to us."""

    agents: tuple[Agent, ...] = ()
    operators: tuple[OperatorEntry, ...] = ()


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


class Settings(Block):
    """Everything in `detent.yaml`."""

    store: str = Field(default="sqlite:///var/detent.db", pattern=r"^sqlite:///.+$")
    listen: Listen = Listen()
    policy: Policy = Policy()
    identity: Identity = Identity()
    servers: dict[Name, Server] = Field(default_factory=dict)
    credentials: dict[Name, BrokerSettings] = Field(default_factory=dict)
    alerts: tuple[AlertSettings, ...] = ()
    canaries: tuple[CanarySettings, ...] = ()
    dry_run: bool = Field(default=False, description="preview every write of every agent")
    drain: Duration = Field(default=20.0, description="seconds SIGTERM waits for calls in flight")
    directory: Path = Field(default=Path(), description="what relative paths are relative to")

    def path(self, given: Path) -> Path:
        """Return a path of the file, relative ones from the file's own directory."""
        return given if given.is_absolute() else self.directory / given

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path(Path(self.store.removeprefix("sqlite:///")))
