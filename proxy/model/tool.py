"""Tools: the definition a server gives, and the manifest people reviewed."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Effect(StrEnum):
    """What a call does to the world, declared in the manifest."""

    READ = "read"
    WRITE = "write"
    IRREVERSIBLE = "irreversible"


class Recovery(StrEnum):
    """How an open intent is settled after a crash."""

    IDEMPOTENCY_KEY = "idempotency_key"
    PROBE = "probe"
    OPAQUE = "opaque"


class Tier(StrEnum):
    """What a kill can do to a call that has passed its last check (docs/tiers.md).

    A: its service refuses it once the call token has ended. B: nobody can, and a late start is
    told. C: an agent makes it, not Detent.
    """

    A = "A"
    B = "B"
    C = "C"


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as its server defines it: `raw` is the whole wire object in RFC 8785 form.

    `pin` is `sha256:` + hex over `raw`; any change, annotations included, changes it.
    `input_schema` is the JSON Schema of the arguments, as JSON bytes. With a `problem` it is no
    tool at all: what a server lists under this name is refused, and kept only to be told to people.
    """

    name: str
    raw: bytes
    pin: str
    input_schema: bytes
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CredentialRule:
    """The widest credential a tool may ever get; a grant must fit inside."""

    broker: str = "none"
    audience: str = ""
    ceiling: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HttpBinding:
    """How a tool's arguments become one HTTP request.

    `path` is a template such as `/{database}/{table}/-/insert`; names in braces take arguments,
    `query`, `body` and `headers` name the arguments placed there. Arguments placed nowhere are
    refused. `names` are pairs of an argument and what it is called on the wire, where that
    differs. `is_routed`: a request of this method and path under `/http/{server}` means this tool.
    """

    method: str
    path: str
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    input_schema: bytes = b"{}"
    description: str = ""
    headers: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    is_routed: bool = True

    def wire_name(self, argument: str) -> str:
        """Return what an argument of query, body or headers is called in the request."""
        return next((name for known, name in self.names if known == argument), argument)


class Match(StrEnum):
    """How a condition compares: with a JSON value, or with an argument of the call."""

    EQUALS = "equals"
    ARGUMENT = "argument"
    CONTAINS = "contains"


@dataclass(frozen=True, slots=True)
class Condition:
    """What stands in a probe's answer at a JSON pointer (RFC 6901).

    `value` is JSON for EQUALS, else a pointer into the arguments of the call that is looked for; a
    text that CONTAINS it has the argument's text somewhere inside.
    """

    at: str
    match: Match
    value: str


@dataclass(frozen=True, slots=True)
class Probe:
    """How to see whether a call has happened: a read tool of the same server, and its answer.

    `arguments` are pairs of an argument of that tool and a pointer into the call's arguments. Where
    all of `expect` holds the call has happened; where all of `absent` holds, or, without any,
    where `expect` does not, it has not.
    """

    tool: str
    arguments: tuple[tuple[str, str], ...]
    expect: tuple[Condition, ...]
    absent: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolManifest:
    """One reviewed entry of `policies/tools/<server>/data.yaml`.

    `hooks`: an agent runs the tool itself and asks before it does. Detent decides such a call and
    does not carry it: it can neither fence it nor stop it in flight.
    """

    server: str
    tool: str
    effect: Effect
    pin: str = ""
    recovery: Recovery = Recovery.OPAQUE
    risk: int = 1
    timeout_s: float = 20.0
    sinks: tuple[str, ...] = ()
    untrusted: bool = True
    credential: CredentialRule = field(default_factory=CredentialRule)
    undo: str | None = None
    http: HttpBinding | None = None
    document: dict[str, Any] = field(default_factory=dict)
    hooks: bool = False
    probe: Probe | None = None

    @property
    def resource_id(self) -> str:
        """`server/tool`."""
        return f"{self.server}/{self.tool}"
