"""The operators' port in process: a real ledger, a real kill switch, operators of every kind."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.errors import StoreUnavailable
from proxy.ingress.guard import GuardSettings
from proxy.ingress.operator import OperatorPorts, operator_app
from proxy.killswitch import switch
from proxy.killswitch.effectiveness import EffectWatch
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.lease import KillLease
from proxy.killswitch.switch import KillSwitch
from proxy.model.call import ToolCall
from proxy.model.decision import Decision, Obligation, Reason, Verdict
from proxy.model.kill import KillEntry, KillOrder, scopes_of
from proxy.model.lease import LeaseTerms
from proxy.model.ledger import DecisionRecord, Hold, Intent, Reservation
from proxy.model.session import ALL_TENANTS, Mode, Operator, Session
from proxy.model.token import TokenKind, new_id, new_token, token_sha256
from proxy.model.tool import Effect, Recovery
from proxy.monitors.integrity import Irregularity
from proxy.observability.metrics import Metrics
from proxy.pipeline.evaluate import Asked
from proxy.stores.sqlite.store import SqliteStore

HOST = "detent.test:8788"
EVERY_ROLE = ("approve", "evaluate", "kill", "lift", "policy", "pull", "view")
OPERATORS = {
    "chief": Operator("chief", EVERY_ROLE, ("*",)),
    "acme": Operator("acme", EVERY_ROLE, ("acme",)),
    "globex": Operator("globex", EVERY_ROLE, ("globex",)),
    "both": Operator("both", EVERY_ROLE, ("acme", "globex")),
    "homeless": Operator("homeless", EVERY_ROLE, ()),
    **{role: Operator(role, (role,), ("*",)) for role in EVERY_ROLE},
}
TOKENS = {name: new_token(TokenKind.OPERATOR) for name in OPERATORS}


class FlakyStore(SqliteStore):
    """A ledger whose disk is full as long as `broken` says so."""

    broken = False

    def check(self) -> None:
        """Fail as long as the disk is full."""
        if self.broken:
            raise StoreUnavailable("the disk is full")

    async def append_kill(self, order: KillOrder) -> KillEntry:
        """See the port."""
        self.check()
        return await super().append_kill(order)

    async def kill_log(self) -> tuple[KillEntry, ...]:
        """See the port."""
        self.check()
        return await super().kill_log()

    async def record(self, decision: DecisionRecord) -> None:
        """See the port."""
        self.check()
        await super().record(decision)

    async def session(self, session_id: str) -> Session | None:
        """See the port."""
        self.check()
        return await super().session(session_id)

    async def sessions(
        self, limit: int, tenants: Sequence[str] = (ALL_TENANTS,)
    ) -> tuple[Session, ...]:
        """See the port."""
        self.check()
        return await super().sessions(limit, tenants)


@dataclass
class Evaluations:
    """Decides what others ask as it is told, and keeps it: the call or the question."""

    verdict: Verdict | Exception = Verdict.ALLOW
    obligations: tuple[Obligation, ...] = ()
    asked: list[tuple[Asked, Any]] = field(default_factory=list)

    async def of_call(self, asked: Asked, call: ToolCall) -> Decision:
        """See the port."""
        return self._decided(asked, call)

    async def of_other(self, asked: Asked, scope: str, document: dict[str, Any]) -> Decision:
        """See the port."""
        return self._decided(asked, (scope, document))

    def _decided(self, asked: Asked, what: Any) -> Decision:
        self.asked.append((asked, what))
        if isinstance(self.verdict, Exception):
            raise self.verdict
        why = (Reason("fine", "Fine."),)
        return Decision("dec_1", self.verdict, why, "sha256:1", self.obligations, risk=5)


@dataclass
class Policies:
    """A policy in force that does as it is told, and what was done with it."""

    packed: bytes = b""
    fails: Exception | None = None
    done: list[str] = field(default_factory=list)
    told: dict[str, Any] = field(
        default_factory=lambda: {
            "replica": "host:1",
            "policy_revision": "sha256:1",
            "loaded_at": "2026-11-22T09:00:00Z",
            "offered": "sha256:1",
            "number": None,
            "previous": None,
            "refused": None,
            "shadow": None,
        }
    )

    async def status(self) -> dict[str, Any]:
        """See the port."""
        return self.told

    async def promote(self, revision: str) -> str:
        """See the port."""
        return self._do(revision)

    async def rollback(self, revision: str = "") -> str:
        """See the port."""
        return self._do(revision or "sha256:0")

    def signed(self) -> bytes:
        """See the port."""
        return self.packed

    def _do(self, revision: str) -> str:
        if self.fails is not None:
            raise self.fails
        self.done.append(revision)
        return revision


@dataclass
class Plane:
    """The port and what stands behind it.

    `revision` is what a reload answers, or raises; `found` is what is wrong with tools.
    """

    store: FlakyStore
    kill_switch: KillSwitch
    flights: InFlight
    metrics: Metrics
    client: httpx.AsyncClient = field(init=False)
    revision: str | Exception = "sha256:1"
    reloads: list[str] = field(default_factory=list)
    found: tuple[Irregularity, ...] = ()
    evaluating: Evaluations = field(default_factory=Evaluations)
    policies: Policies = field(default_factory=Policies)
    admitted_older: list[bool] = field(default_factory=list)

    @property
    def ports(self) -> OperatorPorts:
        """What the application is made of."""
        operators = {token_sha256(TOKENS[name]): known for name, known in OPERATORS.items()}
        return OperatorPorts(
            self.kill_switch,
            EffectWatch(KillLease(LeaseTerms()), self.store).of,
            self.store,
            self.metrics,
            operators,
            self.reload,
            findings=lambda: self.found,
            evaluating=self.evaluating,
            live=self.policies,
        )

    @staticmethod
    def bearer(by: str) -> str:
        """Return an operator's Authorization header."""
        return f"Bearer {TOKENS[by]}"

    async def reload(self, *, older: bool = False) -> str:
        """Load the policy again."""
        self.admitted_older.append(older)
        if isinstance(self.revision, Exception):
            raise self.revision
        self.reloads.append(self.revision)
        return self.revision

    async def ask(
        self, method: str, path: str, body: Any = None, *, by: str = "chief", **headers: str
    ) -> tuple[int, Any]:
        """Ask as one of the operators, or with any token; return status and JSON."""
        fields = {"authorization": f"Bearer {TOKENS.get(by, by)}", **headers}
        raw = {"content": body} if isinstance(body, bytes) else {"json": body} if body else {}
        if raw:
            fields["content-type"] = "application/json"
        answer = await self.client.request(method, path, headers=fields, **raw)
        known = "json" in answer.headers.get("content-type", "")
        return answer.status_code, answer.json() if known else answer.text

    async def session(self, tenant: str = "acme", agent: str = "loop") -> Session:
        """Open a session in the ledger."""
        now = datetime.now(UTC)
        until = now + timedelta(hours=1)
        session = Session(new_id("ses"), tenant, agent, Mode.READ_WRITE, now, until, 100)
        return await self.store.open_session(session, token_sha256(session.id), 10)

    async def step(self, session: Session, tool: str = "git_commit") -> str:
        """Reserve a step in the ledger; its arguments hold a secret."""
        step_id, now = new_id("stp"), datetime.now(UTC)
        decision = decision_of(session, step_id, f"repo/{tool}")
        intent = Intent(
            step_id=step_id,
            session_id=session.id,
            tenant=session.tenant,
            agent=session.agent,
            server="repo",
            tool=tool,
            effect=Effect.WRITE,
            recovery=Recovery.PROBE,
            arguments=b'{"message":"for your eyes only"}',
            arguments_sha256=decision.arguments_sha256,
            epoch=0,
            at=now,
        )
        scopes = scopes_of(session.tenant, session.agent, session.id, f"repo/{tool}")
        holds = (Hold(f"session:{session.id}", 100, 5),)
        await self.store.reserve(Reservation(intent, decision, scopes, holds))
        return step_id


def decision_of(session: Session, step_id: str, resource_id: str) -> DecisionRecord:
    """Return the audit record of an allowed call."""
    return DecisionRecord(
        decision_id=new_id("dec"),
        at=datetime.now(UTC),
        step_id=step_id,
        tenant=session.tenant,
        agent=session.agent,
        session_id=session.id,
        resource_id=resource_id,
        effect="write",
        verdict="allow",
        reasons=(Reason("write-in-workspace", "It writes in the workspace."),),
        arguments_sha256="ab" * 32,
        policy_revision="sha256:1",
        epoch=0,
        risk=5,
    )


@asynccontextmanager
async def operators_port(directory: Path) -> AsyncIterator[Plane]:
    """Serve the port from a ledger in that directory."""
    store = FlakyStore(directory / "detent.db")
    await store.open()
    flights = InFlight()
    kill_switch = KillSwitch(store, HaltFile(directory / "halt.json"), flights)
    await kill_switch.start()
    metrics = Metrics("1.2.3")
    plane = Plane(store, kill_switch, flights, metrics)
    app = operator_app(plane.ports, GuardSettings(frozenset({HOST})))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        plane.client = client
        try:
            yield plane
        finally:
            store.broken = False
            await kill_switch.stop()
            await store.close()


@pytest.fixture
async def plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Plane]:
    """The port, with retries in milliseconds."""
    monkeypatch.setattr(switch, "RETRY_S", 0.01)
    async with operators_port(tmp_path) as plane:
        yield plane
