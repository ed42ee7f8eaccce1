"""Watching that calls get decisions: people are told when policy stops to answer."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from proxy.model.decision import Decision
from proxy.model.finding import Alert, Severity
from proxy.model.token import new_id

KIND = "policy-unavailable"
AGAIN_S = 60.0
MESSAGE = "The policy gives no decision, so calls are refused. Look at OPA and at the last policy."


class Undecided:
    """Alerts at the first call without a decision; not again before `AGAIN_S`, nor before a good
    one in between.
    """

    def __init__(self, raise_alert: Callable[[Alert], Awaitable[None]]) -> None:
        self._raise_alert = raise_alert
        self._is_told = False
        self._told_at = float("-inf")
        self._telling: set[asyncio.Future[None]] = set()

    def note(self, body: bytes, schema: bytes, decision: Decision) -> None:
        """Look at one decision."""
        del body, schema
        if all(reason.id != KIND for reason in decision.reasons):
            self._is_told = False
            return
        now = asyncio.get_running_loop().time()
        if self._is_told or now - self._told_at < AGAIN_S:
            return
        self._is_told, self._told_at = True, now
        alert = Alert(new_id("alr"), datetime.now(UTC), KIND, Severity.CRITICAL, MESSAGE)
        task = asyncio.ensure_future(self._raise_alert(alert))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def told(self) -> None:
        """Wait until what was to be told is told."""
        await asyncio.gather(*self._telling)
