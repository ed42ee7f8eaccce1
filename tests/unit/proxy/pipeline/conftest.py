"""A whole pipeline on a real ledger; policy, tool and broker do as they are told."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.lease import KillLease
from proxy.killswitch.switch import KillSwitch
from proxy.model.call import Door, ToolCall
from proxy.model.finding import Alert
from proxy.model.ledger import Limits
from proxy.model.session import Mode, Principal
from proxy.model.step import Answer
from proxy.model.token import TokenKind, new_token, token_sha256
from proxy.monitors.live_secrets import LiveSecrets
from proxy.observability.metrics import Metrics
from proxy.pdp.base import StagedBundle
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
from proxy.pipeline.start import Starts
from proxy.pipeline.visible import Visibility
from proxy.pipeline.watch import Watching
from proxy.stores.sqlite import SqliteStore
from proxy.upstream.registry import Registry
from tests.harness.clock import Clock, fresh_lease
from tests.harness.pipeline_parts import REVISION, Engine, Eye, TestBroker, Tool, manifests

Agent = tuple[str, Principal]

WALL_S = 1_800_000_000.0


@dataclass
class Parts:
    """What does as it is told."""

    tool: Tool
    engine: Engine
    broker: TestBroker
    eye: Eye
    bundle: StagedBundle
    lease: KillLease
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
    lease: KillLease
    clock: Clock
    alerts: list[Alert] = field(default_factory=list)

    async def caller(self) -> Caller:
        return await self.pipeline.authenticate(self.token)

    async def call(self, tool: str = "write_file", **more: Any) -> Answer:
        arguments = json.dumps(more.pop("arguments", {"path": "a"}), separators=(",", ":")).encode()
        call = ToolCall("repo", tool, arguments, Door.CALLS, **more)
        return await self.pipeline.run(await self.caller(), call)


def limits(tenant: str, agent: str) -> Limits:
    return Limits(session_risk=100, agent_risk=200, window_s=3600)


@pytest.fixture
def principal() -> Principal:
    return Principal("acme", "loop", ("maintainer",), Mode.READ_WRITE)


def lending_of(parts: Parts, kill_switch: KillSwitch) -> Lending:
    return Lending({"keys": parts.broker}, kill_switch, parts.lease, lambda: WALL_S)


def stages_of(
    store: SqliteStore, kill_switch: KillSwitch, registry: Registry, parts: Parts, agent: Agent
) -> Stages:
    metrics = Metrics("test")
    desk = SessionDesk(store, limits)
    policy = DecisionPoint(parts.engine, parts.bundle, 0.25, KNOWN_OBLIGATIONS)
    resolver = Resolver(manifests(parts.tool), registry, {"keys"})

    async def raise_alert(alert: Alert) -> None:
        parts.alerts.append(alert)

    inspection = Inspection([parts.eye], store, raise_alert, metrics)
    lending, settling = lending_of(parts, kill_switch), Settling(store)
    starts = Starts(kill_switch, parts.lease, metrics, raise_alert)
    dispatch = Dispatch(registry, starts, store, metrics)
    decider = Decider(policy, metrics)
    surveys = Surveys(urls=lambda _: ("https://seen.example/",), flags=lambda _: ())
    converse = Converse(resolver, decider, settling, surveys)
    tokens = KnownTokens(frozenset({token_sha256(agent[0])}), store)
    filtering = ResponseFilter(inspection, LiveSecrets(), tokens, lending.take_back)
    return Stages(
        authenticate=Authenticator({token_sha256(agent[0]): agent[1]}, store, desk),
        admit=Admission(kill_switch, parts.lease, store, limits),
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
        health=Health(store, policy, parts.lease, fresh_s=0),
    )


@pytest.fixture
async def house(tmp_path: Path, principal: Principal) -> AsyncIterator[House]:
    store = SqliteStore(tmp_path / "detent.db")
    await store.open()
    flights = InFlight()
    clock = Clock()
    bundle = StagedBundle(tmp_path, REVISION)
    parts = Parts(Tool(), Engine(), TestBroker(), Eye(), bundle, fresh_lease(clock))
    kill_switch = KillSwitch(store, HaltFile(tmp_path / "halt.json"), flights)
    await kill_switch.start()
    registry = Registry({"repo": parts.tool})
    await registry.start()
    token = new_token(TokenKind.AGENT)
    stages = stages_of(store, kill_switch, registry, parts, (token, principal))
    pipeline = Pipeline(stages, kill_switch, flights, Metrics("test"))
    yield House(
        store, pipeline, stages, kill_switch, flights, parts.tool, parts.engine, parts.broker,
        parts.eye, registry, token, parts.lease, clock, parts.alerts,
    )  # fmt: skip
    await registry.stop()
    await kill_switch.stop()
    await store.close()
