"""The candidate policy: staged from its own place, asked beside the live one."""

import asyncio
import contextlib
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from proxy.app.delivered import candidate_delivered
from proxy.app.policies import PolicySource
from proxy.config import Settings
from proxy.errors import PolicyError, PolicyInvalid, PolicyUnavailable
from proxy.model.decision import Decision
from proxy.pdp.base import PolicyEngine
from proxy.pdp.bundle import discard
from proxy.pdp.delivery.pull import DeliveredPolicy
from proxy.pdp.delivery.shadow import Shadow, ShadowMetrics
from proxy.pipeline.decide import Recorder

log = logging.getLogger(__name__)


def candidate_of(settings: Settings, opa: Path) -> "Candidate | None":
    """Return the candidate of the settings. Raises ConfigError."""
    place = settings.policy.shadow
    if place is None:
        return None
    signed = candidate_delivered(settings, opa)
    if signed is None:
        return Candidate(PolicySource(settings.path(place), opa))
    source = PolicySource(signed.directory, opa, lambda: signed.revision, signed=signed)
    return Candidate(source, signed)


def recorder_of(log: Recorder | None, candidate: Recorder | None) -> Recorder | None:
    """Return who gets every decision."""
    return Both(log, candidate) if log and candidate else log or candidate


class Both:
    """Gives every decision to two."""

    def __init__(self, first: Recorder, second: Recorder) -> None:
        self._both = (first, second)

    def note(self, body: bytes, schema: bytes, decision: Decision) -> None:
        """Pass it on."""
        for one in self._both:
            one.note(body, schema, decision)


class Candidate:
    """Never holds up the live policy: what is wrong with a candidate is told in the log."""

    def __init__(self, source: PolicySource, signed: DeliveredPolicy | None = None) -> None:
        self._source = source
        self._signed = signed
        self._problem = ""
        self.shadow: Shadow | None = None
        self.archive = b""

    def ask(
        self, engine: PolicyEngine, known_obligations: frozenset[str], metrics: ShadowMetrics
    ) -> None:
        """Say which engine is asked, once."""
        self.shadow = Shadow(engine, known_obligations, metrics)

    def note(self, body: bytes, schema: bytes, decision: Decision) -> None:
        """Have a question asked that was just decided."""
        if self.shadow is not None:
            self.shadow.note(body, schema, decision)

    async def reload(self) -> None:
        """Ask the candidate as it is now; one that cannot be loaded leaves the one before."""
        try:
            await self._load()
        except PolicyError as error:
            self._problem = str(error)
            log.error("the candidate policy is not asked: %s", error)
            await self._settled(loaded=False, again=not isinstance(error, PolicyInvalid))
        else:
            self._problem = ""

    def report(self) -> dict[str, Any]:
        """Return its revision, what came of asking it, and what is wrong with it."""
        told = self.shadow.report() if self.shadow else None
        known = asdict(told) if told else {"revision": None, "counts": {}}
        return {**known, "problem": self._problem or None}

    async def stop(self) -> None:
        """Ask no more."""
        if self.shadow is not None:
            await self.shadow.stop()
        if self._signed is not None:
            await self._signed.close()

    def cleanup(self) -> None:
        """Remove what lies on disk only while we run."""
        self._source.cleanup()
        if self._signed is not None:
            self._signed.cleanup()

    async def _settled(self, *, loaded: bool, again: bool = False) -> None:
        if self._signed is not None:
            with contextlib.suppress(PolicyUnavailable):  # it is on trial still, and tried again
                await asyncio.to_thread(self._signed.settled, loaded=loaded, again=again)

    async def _load(self) -> None:
        shadow = self.shadow
        if shadow is None:
            return
        if self._signed is not None:
            await self._signed.look()
        bundle, _ = await asyncio.to_thread(self._source.stage)
        before = shadow.bundle
        try:
            await shadow.start(bundle)
        except PolicyError:
            discard(bundle)
            raise
        self.archive = self._source.archive
        if before is not None:
            discard(before)
        await self._settled(loaded=True)
        log.info("a candidate is asked in the shadow", extra={"policy_revision": bundle.revision})
