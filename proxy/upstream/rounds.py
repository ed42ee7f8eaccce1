"""Multi round-trip requests (MCP 2026-07-28), for a client that is asked while its call runs.

A tool that needs input answers `input_required`, and is called again with what the client said. A
client of that era does so itself; for any other the rounds are made here: same call, same step.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from proxy.errors import UpstreamFailed
from proxy.model.json_text import Member, members_of, object_of
from proxy.model.mcp import Era, RpcReply
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.envelope import Inputs, inputs_of

MAX_ROUNDS = 10  # after the first
MAX_QUESTIONS = 16
PAUSE_S = 0.1  # before a round that needs no input: the tool asked for time

Ask = Callable[[str, bytes], Awaitable[RpcReply]]
Send = Callable[[Inputs], Awaitable[UpstreamResult]]

_NOBODY = '{"action":"cancel"}'
_ABSENT = Member(None, "")


async def in_rounds(call: UpstreamCall, send: Send, ask: Ask) -> UpstreamResult:
    """Send a call until its tool needs no more input, or leave that to a client that can.

    Raises UpstreamFailed when the tool asks without end or in a way nobody understands: it has not
    acted.
    """
    result = await send(inputs_of(call))
    for _ in range(MAX_ROUNDS):
        if not result.needs_input or call.conversation.era is Era.STATELESS:
            return result
        wish = members_of(result.result.decode())
        said = await _answers(wish.get("inputRequests", _ABSENT), ask)
        if isinstance(said, UpstreamResult):
            return said
        result = await send(Inputs(said, wish.get("requestState", _ABSENT).text))
    if not result.needs_input:
        return result
    raise UpstreamFailed("it asks for input without end")


async def _answers(wish: Member, ask: Ask) -> str | UpstreamResult:
    """Return what the client says to everything that is asked; its error when it has only that."""
    questions = _questions(wish)
    if not questions:
        await asyncio.sleep(PAUSE_S)
        return ""
    answers: dict[str, str] = {}
    for name, (method, params) in questions.items():
        reply = await ask(method, params)
        if reply.result is not None:
            answers[name] = reply.result.decode()
        elif method == "elicitation/create":
            answers[name] = _NOBODY  # the form in which an elicitation has no answer
        else:
            return UpstreamResult(reply.error or b"{}", is_error=True, is_rpc_error=True)
    return object_of(answers)


def _questions(wish: Member) -> dict[str, tuple[str, bytes]]:
    """Return method and params of each input request. Raises UpstreamFailed."""
    if wish.value is None:
        return {}
    if not isinstance(wish.value, dict) or len(wish.value) > MAX_QUESTIONS:
        raise UpstreamFailed("what it asks for cannot be read")
    return {name: _question(one) for name, one in members_of(wish.text).items()}


def _question(one: Member) -> tuple[str, bytes]:
    parts: dict[str, Any] = members_of(one.text) if isinstance(one.value, dict) else {}
    method, params = parts.get("method", _ABSENT), parts.get("params", _ABSENT)
    if not isinstance(method.value, str):
        raise UpstreamFailed("what it asks for cannot be read")
    return method.value, params.text.encode() if isinstance(params.value, dict) else b"{}"
