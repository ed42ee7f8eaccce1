"""`POST /hooks/{client}`: an agent asks before it runs its own tools, and says what came of it.

The client is the server its tools stand under in the manifest, such as `claude-code`. Events and
answers are those of Claude Code's HTTP hooks. Whatever goes wrong is answered with a status that is
no success, which a hook with `onFailure: block` takes for a refusal. An answer that comes over the
agent's own channel never approves anything here.
"""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from proxy.errors import BadRequest, Refused
from proxy.ingress.base import Gate
from proxy.ingress.hook_answers import GO_ON, Document, after, before, refusal
from proxy.ingress.hook_events import (
    BATCH,
    FAILED,
    POST,
    PRE,
    SESSION_END,
    HookEvent,
    event_of,
)
from proxy.ingress.wire import bearer, read_body, respond
from proxy.model.call import Door
from proxy.model.hook import HookKey
from proxy.pipeline.authenticate import Caller

PATH = "/hooks/"
_CLIENT = re.compile(r"[A-Za-z0-9_.-]{1,128}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One event of an authenticated caller."""

    caller: Caller
    key: HookKey
    event: HookEvent


class HooksDoor:
    """Plain ASGI application. Errors are raised for the problems around it."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._acts: dict[str, Callable[[Asked], Awaitable[Document]]] = {
            PRE: self._before,
            POST: self._after,
            FAILED: self._after,
            BATCH: self._batch,
            SESSION_END: self._end,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, parse, act, answer. Raises BadRequest (audited), Refused, StoreUnavailable.

        A locked agent is told so in its own words, a stranger gets a problem.
        """
        caller: Caller | None = None
        try:
            try:
                caller = await self._gate.authenticate(bearer(scope))
            except Refused as error:
                answer = await _locked(error, receive)
            else:
                event = event_of(await read_body(receive))
                key = HookKey(_client(str(scope["path"])), event.session)
                answer = await self._answer(Asked(caller, key, event))
        except BadRequest as error:
            await self._gate.reject(error, caller, Door.HOOKS)
            raise
        await respond(send, 200, json.dumps(answer, separators=(",", ":")).encode())

    async def _answer(self, asked: Asked) -> Document:
        try:
            return await self._acts.get(asked.event.name, self._other)(asked)
        except Refused as error:
            return refusal(asked.event.name, error.refusal.reasons)

    async def _before(self, asked: Asked) -> Document:
        """Decide a tool use; its first one opens the session."""
        gate, event = self._gate, asked.event
        ours = event.ours
        call = event.carried_call(*ours) if ours else event.call(asked.key.client)
        caller = await gate.hooked.enter(asked.caller, asked.key)
        if ours:
            await gate.hooked.announce(caller, event.tool_use_id)
        return before(call, await gate.permit(caller, call, carried=ours is not None))

    async def _after(self, asked: Asked) -> Document:
        """Settle a tool use. What came through the gateway has been settled there."""
        gate, event = self._gate, asked.event
        use = event.use(asked.key.client)
        caller = await gate.hooked.find(asked.caller, asked.key)
        if event.ours is None:
            return after(event, await gate.permits.conclude(caller, use))
        if event.name == POST and not await gate.hooked.is_carried(caller, use.id):
            return after(event, await gate.permits.unasked(caller, use))
        return await self._other(asked)

    async def _batch(self, asked: Asked) -> Document:
        caller = await self._gate.hooked.find(asked.caller, asked.key)
        await self._gate.permits.close(caller, asked.key.client, asked.event.batch)
        return await self._other(asked)

    async def _end(self, asked: Asked) -> Document:
        caller = await self._gate.hooked.find(asked.caller, asked.key)
        await self._gate.permits.close_all(caller, asked.key.client)
        await self._gate.hooked.leave(asked.caller, asked.key)
        return GO_ON

    async def _other(self, asked: Asked) -> Document:
        """Let every other event pass, unless the agent must not go on."""
        await self._gate.check(await self._gate.hooked.find(asked.caller, asked.key))
        return GO_ON


def _client(path: str) -> str:
    """Return the client a path names, which is a server in the manifest. Raises BadRequest."""
    client = path.removeprefix(PATH)
    if _CLIENT.fullmatch(client) is None:
        raise BadRequest("not-found", "There is no client of that name.", 404)
    return client


async def _locked(refused: Refused, receive: Receive) -> Document:
    """Answer an agent that is known and locked. Raises Refused for everybody else."""
    if refused.refusal.reasons[0].id != "agent-locked":
        raise refused
    event = event_of(await read_body(receive))
    return refusal(event.name, refused.refusal.reasons)
