"""Recovery: steps that nobody will settle become unknown, and are settled by their tool's class.

| class | what is done once the step is quiet |
|---|---|
| opaque | stuck, for a person; what was provably never sent is aborted |
| probe | read back by the manifest's recipe: done, aborted, or stuck when no answer tells |
| idempotency_key | sent again under the same key, as a further attempt of the same step |

A read has no effect to look for. Nothing is asked or sent under a covering kill: such a step waits,
and is stuck in the end. Several replicas may run this: a step is taken by one at a time.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from proxy.chain.guarded import Credentials, Found, GuardedCall, Told
from proxy.chain.quiescence import LEAST_TRIES, quiet_at, stuck_at, was_never_sent
from proxy.errors import StoreError
from proxy.model.ledger import IntentState, StepRow
from proxy.model.recovery import OpenStep, Resolution, Take
from proxy.model.tool import Effect, Recovery
from proxy.stores.recovery import Recoveries

log = logging.getLogger(__name__)

AT_ONCE = 20
CLAIM_S = 10.0  # how long a step is ours without a further word
AGAIN_S = 1.0  # doubled with every try
WAIT_S = 2.0  # while nothing may start

_STATES = {
    Found.DONE: IntentState.DONE,
    Found.FAILED: IntentState.FAILED,
    Found.ABSENT: IntentState.ABORTED,
}
_ANSWERED = (IntentState.DONE, IntentState.FAILED)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Terms:
    """Who we are, how often we look, and when an owner counts as gone."""

    by: str
    gone_after_s: float
    look_every_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears of it: steps found open, steps settled here, and the holders that live."""

    found: Callable[[tuple[StepRow, ...]], None] = lambda _rows: None
    settled: Callable[[OpenStep, IntentState, str], Awaitable[None]] | None = None
    counted: Callable[[int, int], None] = lambda _unknown, _stuck: None
    sidecars: Callable[[], tuple[str, ...]] = tuple


class RecoveryTask:
    """Looks every few seconds; `run` it in one task and `stop` it."""

    def __init__(
        self,
        store: Recoveries,
        guarded: GuardedCall,
        credentials: Credentials,
        terms: Terms,
        listeners: Listeners,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._store = store
        self._guarded = guarded
        self._credentials = credentials
        self._terms = terms
        self._listeners = listeners
        self._clock = clock
        self._working: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Look until cancelled. What the ledger does not take now is looked at again."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                log.warning("open steps cannot be recovered now: %s", error)
            await asyncio.sleep(self._terms.look_every_s)

    async def stop(self) -> None:
        """Let go of what is under way: others take it when our claim ends."""
        working = tuple(self._working)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    async def look(self) -> None:
        """Find what was left open, and begin to settle what is due. Raises StoreUnavailable."""
        now, terms = self._clock(), self._terms
        await self._store.note_sidecars(self._listeners.sidecars())
        left = await self._store.abandoned_to_unknown(now, terms.gone_after_s)
        if left:
            self._listeners.found(left)
        room = AT_ONCE - len(self._working)
        if room > 0:
            until = now + timedelta(seconds=CLAIM_S)
            take = Take(terms.by, now, until, terms.gone_after_s, room)
            for step in await self._store.take_unsettled(take):
                self._begin(step)
        counts = await self._store.unsettled()
        unknown, stuck = counts.get(IntentState.UNKNOWN, 0), counts.get(IntentState.STUCK, 0)
        self._listeners.counted(unknown, stuck)

    async def idle(self) -> None:
        """Return when nothing that was begun is under way."""
        while self._working:
            await asyncio.wait(self._working)

    def _begin(self, step: OpenStep) -> None:
        task = asyncio.get_running_loop().create_task(self._recover(step))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _recover(self, step: OpenStep) -> None:
        with contextlib.suppress(StoreError):  # our claim ends, and somebody takes it again
            await self._settle(await self._without_credential(step))

    async def _without_credential(self, step: OpenStep) -> OpenStep:
        """Return the step once its orphan of a credential is dead, if the broker can do that."""
        lent = step.lent
        if lent is None or lent.ended:
            return step
        if not await self._credentials.revoke(lent.broker, lent.lease_id):
            return step
        await self._store.end_credential(step.id)
        return OpenStep(step.row, step.left_as, step.since, step.tries, step.key, None)

    async def _settle(self, step: OpenStep) -> None:
        now, quiet = self._clock(), quiet_at(step)
        if was_never_sent(step):
            await self._resolve(step, IntentState.ABORTED, Told(Found.ABSENT, "never-dispatched"))
        elif now < quiet:
            await self._later(step, quiet, tried=False)
        elif step.row.intent.effect is Effect.READ:
            await self._settle_read(step)
        elif step.row.intent.recovery is Recovery.OPAQUE:
            await self._resolve(step, IntentState.STUCK, Told(Found.SILENT, "opaque"))
        else:
            await self._conclude(step, await self._ask(step))

    async def _settle_read(self, step: OpenStep) -> None:
        """Settle a read: one that went out is done with, one of a gone owner may not have gone."""
        state = IntentState.DONE if step.left_as is None else IntentState.ABORTED
        await self._resolve(step, state, Told(Found.SILENT, "read-without-answer"))

    async def _ask(self, step: OpenStep) -> Told:
        """Ask the tool, with the step ours for as long as that can take."""
        lasts_s = step.row.intent.timeout_s + CLAIM_S
        await self._later(step, self._clock() + timedelta(seconds=lasts_s), tried=True)
        try:
            async with asyncio.timeout(lasts_s):
                if step.row.intent.recovery is Recovery.PROBE:
                    return await self._guarded.probe(step)
                return await self._guarded.again(step, self._terms.by)
        except TimeoutError:
            return Told(Found.SILENT, "no-answer")

    async def _conclude(self, step: OpenStep, told: Told) -> None:
        if told.found is Found.LOST:
            return
        state = _STATES.get(told.found)
        now = self._clock()
        is_over = now >= stuck_at(step) and step.tries + 1 >= LEAST_TRIES
        if state is None and (told.found is Found.REFUSED or is_over):
            state = IntentState.STUCK
        if state is not None:
            if step.row.intent.recovery is Recovery.IDEMPOTENCY_KEY and state in _ANSWERED:
                await self._store.end_credential(step.id)  # that attempt has given it back
            await self._resolve(step, state, told)
            return
        pause_s = WAIT_S if told.found is Found.NOT_NOW else AGAIN_S * 2.0 ** min(step.tries, 4)
        until = now + timedelta(seconds=pause_s)
        if now < stuck_at(step) < until:
            until = stuck_at(step)
        await self._later(step, until, tried=False)

    async def _later(self, step: OpenStep, until: datetime, *, tried: bool) -> None:
        await self._store.postpone(step.id, self._terms.by, until, tried=tried)

    async def _resolve(self, step: OpenStep, state: IntentState, told: Told) -> None:
        answer = told.answer
        if answer is None and step.key is not None and state is not IntentState.STUCK:
            answer = self._guarded.answer(step, state)
        detail = f"recovery: {told.why}".removesuffix(": ")
        resolution = Resolution(step.id, state, self._clock(), detail, self._terms.by, answer)
        if not await self._store.resolve(resolution):
            return
        extra = {"step_id": step.id, "tool": step.row.intent.resource_id, "why": told.why}
        log.warning("an open step is %s", state.value, extra=extra)
        if self._listeners.settled is not None:
            await self._listeners.settled(step, state, told.why)
