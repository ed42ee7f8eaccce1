"""A whole pipeline on a real ledger; policy, tool and broker do as they are told."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from credentials.base import BrokerUnavailable, GrantRefused, Lease, LeaseRequest
from proxy.errors import PolicyUnavailable
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.switch import KillSwitch
from proxy.model.call import Door, ToolCall
from proxy.model.finding import Alert, Finding
from proxy.model.ledger import Limits
from proxy.model.mcp import Notification
from proxy.model.session import Mode, Principal
from proxy.model.step import Answer
from proxy.model.token import TokenKind, new_token, token_sha256
from proxy.model.tool import CredentialRule, Effect, Recovery, ToolDefinition, ToolManifest
from proxy.monitors.live_secrets import LiveSecrets
from proxy.observability.metrics import Metrics
from proxy.pdp.base import QueryAnswer, StagedBundle
from proxy.pdp.decision import DecisionPoint
from proxy.pipeline.admit import Admission
from proxy.pipeline.approve import Approving, Terms
from proxy.pipeline.authenticate import Authenticator, Caller
from proxy.pipeline.converse import Converse, Surveys
from proxy.pipeline.decide import Decider
from proxy.pipeline.dispatch import Dispatch
from proxy.pipeline.effect import Effect as EffectStage
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
from proxy.stores.sqlite import SqliteStore
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.conversation import Conversation
from proxy.upstream.registry import Registry

REVISION = "sha256:test"
METHODS = ("resources/read", "resources/subscribe", "prompts/list", "sampling/createMessage")
HOOKED = {
    ("claude-code", name): ToolManifest("claude-code", name, effect, hooks=True)
    for name, effect in (("Bash", Effect.WRITE), ("Read", Effect.READ))
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["path"],
}


def definition(name: str, schema: dict[str, Any] | None = None) -> ToolDefinition:
    raw = json.dumps({"name": name, "inputSchema": schema or SCHEMA}).encode()
    pin = "sha256:" + hashlib.sha256(raw).hexdigest()
    return ToolDefinition(name, raw, pin, json.dumps(schema or SCHEMA).encode())


class Tool:
    """The server `repo`: records what it gets and answers as told."""

    name = "repo"
    kind = "mcp"

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.answer: UpstreamResult | Exception = UpstreamResult(b'{"content":[]}')
        self.before_send: Callable[[], Any] = lambda: None
        self.hang_before: asyncio.Event | None = None
        self.hang_after: asyncio.Event | None = None
        self.calls: list[UpstreamCall] = []
        self.meanwhile: Callable[[Conversation], Awaitable[None]] | None = None
        self.said: list[Notification] = []
        self.watched: list[str] = []
        self.forgotten: list[str] = []
        self.tools = [definition("read_file"), definition("write_file"), definition("rm")]

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def definitions(self) -> tuple[ToolDefinition, ...]:
        return tuple(self.tools)

    async def call(self, call: UpstreamCall, sending: Callable[[], None]) -> UpstreamResult:
        if self.hang_before:
            await self.hang_before.wait()
        await asyncio.sleep(0)
        self.before_send()
        sending()
        self.received.append(call.arguments)
        self.headers.append(dict(call.headers))
        self.calls.append(call)
        if self.meanwhile:
            await self.meanwhile(call.conversation)
        if self.hang_after:
            await self.hang_after.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @asynccontextmanager
    async def watch(self, session: str) -> AsyncIterator[AsyncIterator[Notification]]:
        self.watched.append(session)
        try:
            yield self._saying()
        finally:
            self.watched.remove(session)

    async def _saying(self) -> AsyncIterator[Notification]:
        for notification in self.said:
            yield notification
        if self.hang_after:
            await self.hang_after.wait()

    async def forget(self, session: str) -> None:
        self.forgotten.append(session)


class Engine:
    """The policy: answers what it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.inputs: list[dict[str, Any]] = []
        self.decision: dict[str, Any] = allow()
        self.visible: list[str] = ["repo/read_file", "repo/write_file"]
        self.down = False

    async def start(self, bundle: StagedBundle) -> None: ...

    async def replace(self, bundle: StagedBundle) -> None: ...

    async def stop(self) -> None: ...

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        self.inputs.append(json.loads(body)["input"])
        if self.down:
            raise PolicyUnavailable("down")
        return QueryAnswer(self.visible if path.endswith("visible") else self.decision, REVISION)


def allow(**more: Any) -> dict[str, Any]:
    reasons = [{"id": "role-allows-tool", "message": "The role may call it."}]
    return {
        "verdict": "allow",
        "reasons": reasons,
        "obligations": [],
        "grant": None,
        "cost": {"risk": 5},
        "labels": [],
    } | more


class TestBroker:
    """Lends a header, or fails as told."""

    __test__ = False
    name = "keys"

    def __init__(self) -> None:
        self.minted: list[LeaseRequest] = []
        self.revoked: list[str] = []
        self.failure: type[GrantRefused | BrokerUnavailable] | None = None
        self.revoke_fails = False
        self.after_mint: Callable[[], Any] = lambda: None

    def preview(self, request: LeaseRequest) -> dict[str, object]:
        if self.failure:
            raise self.failure
        return {"broker": "keys", "audience": request.audience}

    async def mint(self, request: LeaseRequest) -> Lease:
        if self.failure:
            raise self.failure
        self.minted.append(request)
        self.after_mint()
        expires = datetime.now(UTC) + timedelta(seconds=request.ttl_s)
        return Lease(request.lease_id, "keys", expires, {"Authorization": "Bearer lent"})

    async def revoke(self, lease_id: str) -> None:
        if self.revoke_fails:
            raise BrokerUnavailable
        self.revoked.append(lease_id)


class Eye:
    """A monitor that sees what it is told to see."""

    def __init__(self) -> None:
        self.call_finding: Finding | None = None
        self.result_finding: Finding | None = None

    def on_call(self, call: ToolCall) -> Finding | None:
        return self.call_finding

    def on_result(self, call: ToolCall, result: bytes) -> Finding | None:
        return self.result_finding


Agent = tuple[str, Principal]


@dataclass
class Parts:
    """What does as it is told."""

    tool: Tool
    engine: Engine
    broker: TestBroker
    eye: Eye
    bundle: StagedBundle
    alerts: list[Alert] = field(default_factory=list)


@dataclass
class House:
    """Everything a test can reach."""

    store: SqliteStore
    pipeline: Pipeline
    stages: Stages
    kill_switch: KillSwitch
    flights: InFlight
    tool: Tool
    engine: Engine
    broker: TestBroker
    eye: Eye
    registry: Registry
    token: str
    alerts: list[Alert] = field(default_factory=list)

    async def caller(self) -> Caller:
        return await self.pipeline.authenticate(self.token)

    async def call(self, tool: str = "write_file", **more: Any) -> Answer:
        arguments = json.dumps(more.pop("arguments", {"path": "a"}), separators=(",", ":")).encode()
        call = ToolCall("repo", tool, arguments, Door.CALLS, **more)
        return await self.pipeline.run(await self.caller(), call)


def manifests(tool: Tool) -> dict[tuple[str, str], ToolManifest]:
    pins = {known.name: known.pin for known in tool.tools}
    rule = CredentialRule("keys", "https://repo", ("repo:read", "repo:write"))
    effects = {
        "read_file": Effect.READ,
        "write_file": Effect.WRITE,
        "rm": Effect.IRREVERSIBLE,
        "absent": Effect.READ,
    }
    methods = {
        ("repo", name): ToolManifest("repo", name, Effect.READ, document={"effect": "read"})
        for name in METHODS
    }
    repo = {
        ("repo", name): ToolManifest(
            server="repo",
            tool=name,
            effect=effect,
            pin=pins.get(name, ""),
            recovery=Recovery.PROBE if name == "write_file" else Recovery.OPAQUE,
            credential=rule,
            document={"effect": effect.value},
        )
        for name, effect in effects.items()
    }
    return methods | repo | HOOKED


def limits(tenant: str, agent: str) -> Limits:
    return Limits(session_risk=100, agent_risk=200, window_s=3600)


@pytest.fixture
def principal() -> Principal:
    return Principal("acme", "loop", ("maintainer",), Mode.READ_WRITE)


def stages_of(
    store: SqliteStore, kill_switch: KillSwitch, registry: Registry, parts: Parts, agent: Agent
) -> Stages:
    metrics = Metrics("test")
    desk = SessionDesk(store, limits)
    policy = DecisionPoint(parts.engine, parts.bundle, 0.25, KNOWN_OBLIGATIONS)
    resolver = Resolver(manifests(parts.tool), registry)

    async def raise_alert(alert: Alert) -> None:
        parts.alerts.append(alert)

    inspection = Inspection([parts.eye], store, raise_alert, metrics)
    lending, settling = Lending({"keys": parts.broker}, kill_switch), Settling(store)
    dispatch = Dispatch(registry, kill_switch, store, metrics)
    decider = Decider(policy, metrics)
    surveys = Surveys(urls=lambda _: ("https://seen.example/",), flags=lambda _: ())
    converse = Converse(resolver, decider, settling, surveys)
    tokens = KnownTokens(frozenset({token_sha256(agent[0])}), store)
    filtering = ResponseFilter(inspection, LiveSecrets(), tokens, lending.take_back)
    return Stages(
        authenticate=Authenticator({token_sha256(agent[0]): agent[1]}, store, desk),
        admit=Admission(kill_switch, store, limits),
        inspect=inspection,
        resolve=resolver,
        approve=Approving(
            store, kill_switch, settling, raise_alert, lambda: policy.revision, Terms()
        ),
        decide=decider,
        lend=lending,
        reserve=Reserving(store, limits),
        effect=EffectStage(lending, dispatch, filtering, settling, kill_switch, converse),
        settle=settling,
        visible=Visibility(resolver, policy),
        desk=desk,
        watch=Watching(resolver, registry),
        hooked=HookSessions(store, desk, kill_switch),
        permit=Permits(store, Reserving(store, limits), filtering, settling, kill_switch),
        health=Health(store, policy, fresh_s=0),
    )


@pytest.fixture
async def house(tmp_path: Path, principal: Principal) -> AsyncIterator[House]:
    store = SqliteStore(tmp_path / "detent.db")
    await store.open()
    flights = InFlight()
    parts = Parts(Tool(), Engine(), TestBroker(), Eye(), StagedBundle(tmp_path, REVISION))
    kill_switch = KillSwitch(store, HaltFile(tmp_path / "halt.json"), flights)
    await kill_switch.start()
    registry = Registry({"repo": parts.tool})
    await registry.start()
    token = new_token(TokenKind.AGENT)
    stages = stages_of(store, kill_switch, registry, parts, (token, principal))
    pipeline = Pipeline(stages, kill_switch, flights, Metrics("test"))
    yield House(
        store, pipeline, stages, kill_switch, flights, parts.tool, parts.engine, parts.broker,
        parts.eye, registry, token, parts.alerts,
    )  # fmt: skip
    await registry.stop()
    await kill_switch.stop()
    await store.close()
