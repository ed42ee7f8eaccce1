"""`python -m tests.harness.planted_bugs BUG FILE serve …`: the crashing gateway with a bug in it.

Whoever judges crashes has to find each of them.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from proxy.app.gateway import Gateway
from proxy.model.ledger import IntentState, Settlement
from proxy.pipeline.dispatch import Dispatch
from proxy.pipeline.reserve import Reserving
from proxy.pipeline.settle import Settling
from proxy.stores.sqlite import budgets
from proxy.upstream.base import UpstreamCall
from tests.harness.crashing import serve


def intent_after_send() -> None:
    """Write the intent down when the tool has answered, and let it be sent before."""
    reserving: Any = Reserving
    dispatch: Any = Dispatch
    reserve, send = reserving.__call__, dispatch.__call__
    waiting: dict[str, Callable[[], Any]] = {}

    async def later(self: Any, step: Any, wanted: Any) -> None:
        waiting[step.id] = lambda: reserve(self, step, wanted)

    async def first(self: Any, step: Any, *more: Any) -> Any:
        result = await send(self, step, *more)
        await waiting.pop(step.id)()
        return result

    reserving.__call__, dispatch.__call__ = later, first


def settles_twice() -> None:
    """Count the points of every outcome two times (SQLite)."""
    booked: Any = budgets
    settle = booked.settle

    def twice(*args: Any) -> None:
        settle(*args)
        settle(*args)

    booked.settle = twice


def answers_early() -> None:
    """Tell the client how its call ended, and write it down never."""
    settling: Any = Settling

    async def nothing(self: Any, settlement: Any) -> None:
        del self, settlement

    settling._settle = nothing


def sends_again() -> None:
    """Send every call whose outcome is unknown again after a start, whatever its tool says."""
    gateway: Any = Gateway
    start = gateway.start

    async def sending(self: Any) -> None:
        await start(self)
        for row in await self.parts.store.steps(None, ["unknown", "stuck"], 100):
            intent = row.intent
            manifest = self.parts.resolver.manifests[intent.server, intent.tool]
            upstream = self.parts.registry.upstream(intent.server)
            call = UpstreamCall(manifest, intent.arguments, 2.0, idempotency_key=intent.step_id)
            await upstream.call(call, lambda: None)

    gateway.start = sending


def forgets_what_was_sent() -> None:
    """Call everything failed that was under way when the process ended."""
    gateway: Any = Gateway
    start = gateway.start

    async def settling(self: Any) -> None:
        await start(self)
        for row in await self.parts.store.steps(None, ["unknown", "stuck"], 100):
            failed = Settlement(row.intent.step_id, IntentState.FAILED, datetime.now(UTC))
            await self.parts.store.settle(failed)

    gateway.start = settling


BUGS: dict[str, Callable[[], None]] = {
    "intent-after-send": intent_after_send,
    "settles-twice": settles_twice,
    "answers-early": answers_early,
    "sends-again": sends_again,
    "forgets-what-was-sent": forgets_what_was_sent,
}

if __name__ == "__main__":
    BUGS[sys.argv.pop(1)]()
    serve()
