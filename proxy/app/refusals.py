"""Policies that were not taken: counted, remembered, and told to people."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from proxy.errors import PolicyError
from proxy.observability.metrics import Metrics

MAX_TOLD_CHARS = 4_000

Tell = Callable[[str, str], Awaitable[None]]


class Refusals:
    """Knows the last one. `tell` alerts people: a kind and a message."""

    def __init__(self, metrics: Metrics, tell: Tell) -> None:
        self._metrics = metrics
        self.tell = tell
        self.last: dict[str, str] | None = None

    async def tell_of(self, kind: str, error: PolicyError) -> None:
        """Count and tell that a policy was not taken; the last good one stays."""
        self._metrics.policy_refused()
        message = shown(str(error))
        self.last = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "message": message}
        await self.tell(kind, f"the last good policy stays: {message}")


def shown(message: str) -> str:
    """Return a text that can be stored and shown, whatever a bundle put into it."""
    cut = message if len(message) <= MAX_TOLD_CHARS else f"{message[:MAX_TOLD_CHARS]}…"
    return "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in cut)
