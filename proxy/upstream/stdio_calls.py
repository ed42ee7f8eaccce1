"""Calls to one running stdio server, in the way of its era.

All clients share the one process. In the handshake era it knows no sessions: what it asks or says
without naming a call is passed on only while all calls are one session's, and subscriptions are
told apart here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from proxy.errors import UpstreamFailed
from proxy.model.mcp import Era
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.clock import ASKING_S, Clock
from proxy.upstream.dialogue import Dialogue, Wiring, ask_client
from proxy.upstream.envelope import Inputs, inputs_of, params_of
from proxy.upstream.exchange import Question
from proxy.upstream.jsonrpc import Message, dumps
from proxy.upstream.kept import DONE, SUBSCRIBE, TOO_MANY, UNSUBSCRIBE, Kept, uri_of
from proxy.upstream.leaving import Leaving
from proxy.upstream.mcp_wire import SUBSCRIPTION, cancelled_params, result_of
from proxy.upstream.pipe import Pipe
from proxy.upstream.rounds import in_rounds
from proxy.upstream.subscribed import ACKNOWLEDGED, ACKNOWLEDGED_S, LISTEN, listen_params
from proxy.upstream.subscriptions import Subscriptions


class StdioCalls:
    """Makes calls through one pipe. `wanted` outlives it: a server that was started again is told.

    `outside` takes what is no part of a call, and says whether anybody listens.
    """

    def __init__(
        self, pipe: Pipe, wanted: Subscriptions, outside: Callable[[Message], bool]
    ) -> None:
        self.pipe = pipe
        self._wanted = wanted
        self._outside = outside
        self._kept = Kept(wanted, self.renew)
        self._turn = asyncio.Lock()
        self._uris: frozenset[str] = frozenset()
        self._listening: tuple[int, asyncio.Event] | None = None

    async def __call__(self, call: UpstreamCall, leaving: Leaving, clock: Clock) -> UpstreamResult:
        """Make one call."""
        send = partial(self._send, call, leaving, clock)
        if self.pipe.era is Era.STATELESS:
            kept = await self._kept(call, leaving)
            return kept or await in_rounds(
                call, send, partial(ask_client, call.conversation, clock)
            )
        if call.method == SUBSCRIBE:
            return await self._subscribed(call, send)
        if call.method == UNSUBSCRIBE and not self._wanted.remove(
            call.conversation.session, uri_of(call)
        ):
            leaving()
            return DONE
        return await send(inputs_of(call))

    def resume(self) -> None:
        """Tell a server that was started again what is subscribed to."""
        if self.pipe.era is Era.STATELESS:
            self._listen()
            return
        for uri in sorted(self._wanted.uris()):
            self._post(SUBSCRIBE, uri)

    async def renew(self) -> None:
        """Listen for what is wanted now; wait until the server has acknowledged it."""
        async with self._turn:
            if self._uris == self._wanted.uris():
                return
            before, acknowledged = self._listening, self._listen()
            try:
                async with asyncio.timeout(ACKNOWLEDGED_S):
                    await acknowledged.wait()
            except TimeoutError:
                pass
            finally:
                if before is not None:
                    params = cancelled_params(Era.STATELESS, before[0])
                    self.pipe.tell("notifications/cancelled", params)

    async def release(self, uris: tuple[str, ...]) -> None:
        """Stop hearing of resources nobody wants to hear of any more."""
        if self.pipe.era is Era.HANDSHAKE:
            for uri in uris:
                self._post(UNSUBSCRIBE, uri)
        elif uris:
            await self.renew()

    def acknowledged(self, message: Message) -> bool:
        """Take the word of the server that it listens; return whether it was that."""
        if message.method != ACKNOWLEDGED:
            return False
        meta = message.param("_meta")
        number = meta.get(SUBSCRIPTION) if isinstance(meta, dict) else None
        if self._listening is not None and self._listening[0] == number:
            self._listening[1].set()
        return True

    def _listen(self) -> asyncio.Event:
        number, acknowledged = self.pipe.number(), asyncio.Event()
        self._listening, self._uris = (number, acknowledged), self._wanted.uris()
        self.pipe.post(number, LISTEN, listen_params(self._uris))
        return acknowledged

    def _post(self, method: str, uri: str) -> None:
        self.pipe.post(self.pipe.number(), method, b'{"uri":%b}' % dumps(uri))

    async def _subscribed(
        self, call: UpstreamCall, send: Callable[[Inputs], Awaitable[UpstreamResult]]
    ) -> UpstreamResult:
        """Subscribe at the server, and note for whom."""
        session, uri = call.conversation.session, uri_of(call)
        if not self._wanted.add(session, uri):
            return TOO_MANY
        result = await send(inputs_of(call))
        if result.is_error:
            self._wanted.remove(session, uri)
        return result

    async def _send(
        self, call: UpstreamCall, leaving: Leaving, clock: Clock, inputs: Inputs
    ) -> UpstreamResult:
        number, era = self.pipe.number(), self.pipe.era
        params = params_of(call, era, number, inputs)
        longest_s = call.timeout_s + 2 * ASKING_S
        asked = Question(number, call.method, params, {}, longest_s, leaving)
        wiring = Wiring(self._answer, self._outside, may_ask=era is Era.HANDSHAKE)
        async with Dialogue(call.conversation, number, clock, wiring) as dialogue:
            message = await self.pipe.ask(asked, dialogue)
            await dialogue.heard()
        return result_of(message, era)

    async def _answer(self, line: bytes) -> None:
        """Answer what the server asked; a call under way learns by itself that it is gone."""
        with suppress(UpstreamFailed):
            await self.pipe.answer(line)
