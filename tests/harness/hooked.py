"""An agent with hooks before a whole pipeline: what it asks and tells, what is in the ledger."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from proxy.model.call import Door, ToolCall
from proxy.model.hook import HookKey, ToolUse, claim_of
from proxy.model.ledger import IntentState, Limits, Outcome
from proxy.model.step import Answer
from proxy.pipeline.authenticate import Caller

KEY = HookKey("claude-code", "s1")
LIMITS = Limits(session_risk=100, agent_risk=200, window_s=3600)


async def caller_of(house: Any) -> Caller:
    entered = await house.pipeline.hooked.enter(await house.caller(), KEY)
    assert isinstance(entered, Caller)
    return entered


def bash(use: str = "t1", command: str = "ls", **changes: Any) -> ToolCall:
    arguments = json.dumps({"command": command}, separators=(",", ":")).encode()
    call = ToolCall("claude-code", "Bash", arguments, Door.HOOKS, idempotency_key=claim_of(use))
    return replace(call, **changes)


def told(use: str = "t1", command: str = "ls", **changes: Any) -> ToolUse:
    arguments = bash(use, command).arguments
    given = ToolUse(use, "claude-code", "Bash", arguments, b'{"stdout":"a"}', Outcome.DONE)
    return replace(given, **changes)


async def ask(house: Any, call: ToolCall | None = None, **more: Any) -> Answer:
    answer = await house.pipeline.permit(await caller_of(house), call or bash(), **more)
    assert isinstance(answer, Answer)
    return answer


async def tell(house: Any, use: ToolUse) -> Answer:
    answer = await house.pipeline.permits.conclude(await caller_of(house), use)
    assert isinstance(answer, Answer)
    return answer


async def states(house: Any) -> list[tuple[IntentState, str]]:
    return [(row.state, row.detail) for row in await house.store.steps(None, (), 10)]


async def points(house: Any) -> tuple[int, int]:
    """Return the points the session has used and holds."""
    view = await house.store.view((await caller_of(house)).session, LIMITS, datetime.now(UTC))
    return view.budget.used, view.budget.held
