"""A candidate policy beside the live one: asked the same, never obeyed.

A call is not kept waiting: its question goes into a short queue, and when the candidate is behind,
questions are left out and counted.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from proxy.errors import PolicyUnavailable
from proxy.model.decision import Decision
from proxy.pdp.base import DECISION_PATH, PolicyEngine, StagedBundle
from proxy.pdp.decision import parse_decision

log = logging.getLogger(__name__)

QUEUE, QUEUE_BYTES = 256, 32 * 1024 * 1024
DEADLINE_S = 2.0
MAX_LOGGED_PER_S = 10.0


class Compared(StrEnum):
    """How the candidate's answer stands to the live one."""

    SAME = "same"
    FLIP = "flip"  # another verdict
    CHANGE = "change"  # the same verdict with other reasons, obligations, grant, cost or labels
    ERROR = "error"  # no answer in time
    SKIPPED = "skipped"  # not asked: the candidate was behind


class ShadowMetrics(Protocol):
    """Where comparisons are counted."""

    def shadowed(self, compared: str) -> None:
        """Count a comparison."""
        ...

    def flipped(self, live: str, shadow: str) -> None:
        """Count another verdict."""
        ...


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """The candidate's revision, and what came of asking it since it was loaded."""

    revision: str
    counts: dict[str, int]


@dataclass(slots=True)
class _Asked:
    """One question and the live answer to it."""

    body: bytes = field(repr=False)
    live: Decision


class Shadow:
    """Asks a second engine. `known_obligations` is what enforcement can do."""

    def __init__(
        self, engine: PolicyEngine, known_obligations: frozenset[str], metrics: ShadowMetrics
    ) -> None:
        self._engine = engine
        self._known = known_obligations
        self._metrics = metrics
        self._queue: asyncio.Queue[_Asked] = asyncio.Queue(QUEUE)
        self._waiting_bytes = 0
        self._asking: asyncio.Task[None] | None = None
        self._counts = dict.fromkeys(Compared, 0)
        self._logged_at = 0.0
        self.bundle: StagedBundle | None = None

    async def start(self, bundle: StagedBundle) -> None:
        """Ask this candidate from now on, or instead of another.

        Raises PolicyInvalid, PolicyUnavailable; then the candidate before stays, if there was one.
        """
        if self._asking is None:
            await self._engine.start(bundle)
            self._asking = asyncio.create_task(self._ask_all())
        else:
            await self._engine.replace(bundle)
        self.bundle = bundle
        self._counts = dict.fromkeys(Compared, 0)

    def note(self, body: bytes, schema: bytes, live: Decision) -> None:
        """Have a question asked that was just decided; never waits and never raises."""
        del schema  # of the tool's arguments: for those who write them down
        if self._asking is None:
            return
        if self._queue.full() or self._waiting_bytes + len(body) > QUEUE_BYTES:
            self._count(Compared.SKIPPED)
            return
        self._waiting_bytes += len(body)
        self._queue.put_nowait(_Asked(body, live))

    def report(self) -> ShadowReport | None:
        """Return what came of it so far; None while there is no candidate."""
        if self.bundle is None:
            return None
        return ShadowReport(self.bundle.revision, {str(k): n for k, n in self._counts.items()})

    async def idle(self) -> None:
        """Wait until every question that was taken is compared."""
        await self._queue.join()

    async def stop(self) -> None:
        """Ask no more and end the engine."""
        if self._asking is not None:
            self._asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asking
            await self._engine.stop()

    async def _ask_all(self) -> None:
        while True:
            asked = await self._queue.get()
            self._waiting_bytes -= len(asked.body)
            try:
                await self._compare(asked)
            finally:
                self._queue.task_done()

    async def _compare(self, asked: _Asked) -> None:
        live = asked.live
        try:
            answer = await self._engine.query(DECISION_PATH, asked.body, DEADLINE_S)
        except PolicyUnavailable as error:
            self._count(Compared.ERROR)
            self._tell("the candidate gives no decision: %s", live, str(error))
            return
        shadow = parse_decision(answer.result, live.id, answer.revision, self._known)
        if shadow.verdict != live.verdict:
            self._count(Compared.FLIP)
            self._metrics.flipped(live.verdict, shadow.verdict)
            self._tell("the candidate decides %s", live, told_of(live, shadow))
        elif _content(shadow) != _content(live):
            self._count(Compared.CHANGE)
        else:
            self._count(Compared.SAME)

    def _count(self, compared: Compared) -> None:
        self._counts[compared] += 1
        self._metrics.shadowed(compared)

    def _tell(self, message: str, live: Decision, told: str) -> None:
        """Log a few; the metrics have them all."""
        now = asyncio.get_running_loop().time()
        if now - self._logged_at >= 1 / MAX_LOGGED_PER_S:
            self._logged_at = now
            log.warning(message, told, extra={"decision_id": live.id})


def told_of(live: Decision, shadow: Decision) -> str:
    """Return both verdicts with the ids of their reasons."""
    return f"{_in_words(shadow)} instead of {_in_words(live)}"


def _in_words(decision: Decision) -> str:
    return f"{decision.verdict} ({', '.join(one.id for one in decision.reasons)})"


def _content(decision: Decision) -> tuple[object, ...]:
    """Return what a decision says besides its verdict; the order of sets does not count."""
    obligations = sorted(
        (one.type, repr(sorted(one.fields.items()))) for one in decision.obligations
    )
    return (
        frozenset(one.id for one in decision.reasons),
        obligations,
        decision.grant,
        decision.risk,
        frozenset(decision.labels),
    )
