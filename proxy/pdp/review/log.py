"""The decision log, written off the path of calls.

A decision is put into a queue and forgotten; a task takes it out, asks the policy what to mask, and
a thread writes it. A full queue, a disk that is full, a mask that cannot be had: each is counted
and told, and no call waits for it or fails by it.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from proxy.errors import DetentError, PolicyUnavailable
from proxy.model.decision import Decision
from proxy.observability.metrics import Metrics
from proxy.pdp.base import DECISION_PATH, MASK_PATH, PolicyEngine
from proxy.pdp.review.log_files import LogFiles
from proxy.pdp.review.masking import Seers, Shown, masked_input, withheld_input
from proxy.pdp.review.record import DecisionRecord, answer_of
from proxy.pdp.review.stand_ins import StandIns

MAX_WAITING = 10_000
MAX_WAITING_BYTES = 32 * 1024 * 1024
BATCH = 64
CONCURRENT = 4
MASK_DEADLINE_S = 1.0
TELL_AGAIN_S = 60.0
STOP_DEADLINE_S = 5.0

# What reading an agent's input, a tool's schema or a policy's masks raises when one is odd.
_ODD = (ValueError, TypeError, LookupError, AttributeError, RecursionError)

log = logging.getLogger(__name__)


class Logged(StrEnum):
    """What became of a decision's record."""

    WRITTEN = "written"
    WITHHELD = "withheld"  # written without its arguments
    DROPPED = "dropped"  # the queue was full
    FAILED = "failed"  # the file could not be written


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that was made: `body` is `{"input": …}`, `schema` that of the tool's arguments."""

    body: bytes
    schema: bytes
    decision: Decision
    at: datetime


class DecisionLog:
    """Writes decisions. The key of their stand-ins is made at each start and never kept."""

    def __init__(
        self, files: LogFiles, engine: PolicyEngine, seers: Seers, metrics: Metrics
    ) -> None:
        self._files = files
        self._engine = engine
        self._seers = seers
        self._metrics = metrics
        self._key = secrets.token_bytes(32)
        self._waiting: deque[Decided] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._is_ending = False
        self._told = ("", 0.0)

    def note(self, body: bytes, schema: bytes, decision: Decision) -> None:
        """Take a decision to be written; never waits, never raises."""
        room = len(self._waiting) < MAX_WAITING
        if not room or self._bytes + len(body) > MAX_WAITING_BYTES:
            self._trouble("decisions are not logged: more come than can be written")
            self._metrics.decision_logged(Logged.DROPPED)
            return
        self._bytes += len(body)
        self._waiting.append(Decided(body, schema, decision, datetime.now(UTC)))
        self._wake.set()

    def start(self) -> "asyncio.Task[None]":
        """Begin to write; `stop` takes what this returns."""
        return asyncio.create_task(self._run())

    async def stop(self, writing: "asyncio.Task[None]") -> None:
        """Write what waits, for STOP_DEADLINE_S at most, and close the file."""
        self._is_ending = True
        self._wake.set()
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(STOP_DEADLINE_S):
                await writing
        for _ in self._waiting:
            self._metrics.decision_logged(Logged.DROPPED)
        self._waiting.clear()
        await asyncio.to_thread(self._files.close)

    async def _run(self) -> None:
        while self._waiting or not self._is_ending:
            await self._wake.wait()
            if not self._is_ending:
                self._wake.clear()
            while self._waiting:
                await self._survived(self._taken())

    async def _survived(self, batch: list[Decided]) -> None:
        """Write a batch; whatever fails in it is told, and ends no other."""
        (failed,) = await asyncio.gather(self._write(batch), return_exceptions=True)
        if failed is not None:
            self._trouble(f"decisions are not logged: {type(failed).__name__}")
            for _ in batch:
                self._metrics.decision_logged(Logged.FAILED)

    def _taken(self) -> list[Decided]:
        taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        self._bytes -= sum(len(one.body) for one in taken)
        return taken

    async def _write(self, batch: list[Decided]) -> None:
        asking = asyncio.Semaphore(CONCURRENT)
        masks = await asyncio.gather(*(self._masks(one, asking) for one in batch))
        try:
            results = await asyncio.to_thread(self._written, batch, masks)
        except OSError as error:
            self._trouble(f"decisions cannot be logged: {error.strerror}")
            results = [Logged.FAILED] * len(batch)
        for result in results:
            self._metrics.decision_logged(result)

    async def _masks(self, decided: Decided, asking: asyncio.Semaphore) -> Any:
        """Return what the policy wants masked, None when that cannot be had."""
        try:
            async with asking:
                answer = await self._engine.query(MASK_PATH, decided.body, MASK_DEADLINE_S)
        except PolicyUnavailable as error:
            self._trouble(f"arguments are left out of the decision log: {error}")
            return None
        return answer.result

    def _written(self, batch: list[Decided], masks: list[Any]) -> list[Logged]:
        """Write a batch, in a thread. Raises OSError."""
        lines = [self._line(*one) for one in zip(batch, masks, strict=True)]
        self._files.write(b"".join(line for line, _ in lines))
        return [result for _, result in lines]

    def _line(self, decided: Decided, masks: Any) -> tuple[bytes, Logged]:
        try:
            record = self._record(decided, masks)
            return record.to_line(), Logged.WRITTEN if record.replayable else Logged.WITHHELD
        except _ODD:
            self._trouble("a decision is not logged: its input cannot be written as JSON")
            return b"", Logged.FAILED

    def _record(self, decided: Decided, masks: Any) -> DecisionRecord:
        document = json.loads(decided.body)["input"]
        shown, replayable = self._shown(document, masks, decided)
        return DecisionRecord(
            decision_id=decided.decision.id,
            at=decided.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            tenant=document["subject"]["tenant"],
            entry=DECISION_PATH,
            input=shown.input,
            answer=answer_of(decided.decision),
            revision=decided.decision.policy_revision,
            masked=shown.masked,
            replayable=replayable,
        )

    def _shown(self, document: dict[str, Any], masks: Any, of: Decided) -> tuple[Shown, bool]:
        # A key for each record: whoever reads the log could let an agent try values otherwise.
        key = hmac.digest(self._key, of.decision.id.encode(), hashlib.sha256)
        try:
            return masked_input(document, masks, of.schema, self._seers, StandIns(key)), True
        except (*_ODD, DetentError) as error:
            why = error if isinstance(error, (ValueError, DetentError)) else type(error).__name__
            self._trouble(f"arguments are left out of the decision log: {why}")
            return Shown(withheld_input(document), ()), False

    def _trouble(self, what: str) -> None:
        """Tell it, and the same not again for a while."""
        told, at = self._told
        if what != told or time.monotonic() - at > TELL_AGAIN_S:
            self._told = (what, time.monotonic())
            log.warning("%s", what)
