"""Recovery on a real ledger, with a tool and a broker that do as they are told."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from proxy.chain.guarded import Found, Told
from proxy.chain.recovery import Listeners, RecoveryTask, Terms
from proxy.errors import StoreUnavailable
from proxy.model.ledger import IntentState, StepRow
from proxy.model.recovery import OpenStep
from proxy.model.tool import Effect, Recovery
from proxy.stores.sqlite import SqliteStore
from tests.harness.ledger import Call, after, session


class Tool:
    """Answers what it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.told = Told(Found.DONE, "because")
        self.fails = False

    async def probe(self, step: OpenStep) -> Told:
        return self._say(f"probe {step.id}")

    async def again(self, step: OpenStep, by: str) -> Told:
        return self._say(f"again {step.id} {by}")

    def answer(self, step: OpenStep, state: IntentState) -> bytes | None:
        return f'"{step.id} {state.value}"'.encode()

    def _say(self, asked: str) -> Told:
        self.asked.append(asked)
        if self.fails:
            raise StoreUnavailable("gone")
        return self.told


class Broker:
    """Revokes, or does not."""

    def __init__(self) -> None:
        self.revoked: list[tuple[str, str]] = []
        self.confirms = True

    async def revoke(self, broker: str, lease_id: str) -> bool:
        self.revoked.append((broker, lease_id))
        return self.confirms


class Bench:
    """A ledger with steps of an earlier run, and recovery at whatever time a test says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tool = Tool()
        self.broker = Broker()
        self.now_s = 1.0
        self.found: list[str] = []
        self.settled: list[tuple[str, str, str]] = []
        self.counts: list[tuple[int, int]] = []
        self.sidecars: tuple[str, ...] = ()
        self.store = SqliteStore(path)
        listeners = Listeners(self._found, self._settled, self._counted, lambda: self.sidecars)
        terms = Terms("me", gone_after_s=0.0, look_every_s=0.001)
        parts = (self.store, self.tool, self.broker, terms, listeners)
        self.recovery = RecoveryTask(*parts, clock=self.clock)

    def clock(self) -> datetime:
        return after(self.now_s)

    async def left(
        self,
        recovery: Recovery = Recovery.PROBE,
        effect: Effect = Effect.WRITE,
        *,
        sent: bool = True,
        **call: object,
    ) -> None:
        """Have an earlier run leave stp1 open, and open the ledger a second later."""
        before = SqliteStore(self.path)
        await before.open()
        await before.open_session(session(), None, 10)
        asked = Call(**call).reservation()  # type: ignore[arg-type]  # of the test's choosing
        changes = {"recovery": recovery, "effect": effect}
        intent = replace(asked.intent, timeout_s=5.0, **changes)  # type: ignore[arg-type]  # as above
        await before.reserve(replace(asked, intent=intent))
        if sent:
            await before.mark_sending("stp1")
        await before.close()
        await self.store.open()
        await self.store.open_intents_to_unknown(after(1))

    async def look(self, at: float) -> IntentState:
        """Look once at that time; return what stp1 is then."""
        self.now_s = at
        await self.recovery.look()
        await self.recovery.idle()
        return await self.state()

    async def state(self) -> IntentState:
        row = await self.store.step("stp1")
        assert row is not None
        return row.state

    def _found(self, rows: tuple[StepRow, ...]) -> None:
        self.found += [row.intent.step_id for row in rows]

    async def _settled(self, step: OpenStep, state: IntentState, why: str) -> None:
        self.settled.append((step.id, state.value, why))

    def _counted(self, unknown: int, stuck: int) -> None:
        self.counts.append((unknown, stuck))
