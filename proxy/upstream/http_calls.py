"""One call to an MCP server over HTTP, in the way of either era."""

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from proxy.errors import OutcomeUnknown, UpstreamError
from proxy.model.call import TOOLS_CALL
from proxy.model.mcp import Era
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.channel import Channel
from proxy.upstream.clock import ASKING_S, Clock
from proxy.upstream.dialogue import Dialogue, Wiring, ask_client
from proxy.upstream.envelope import Inputs, inputs_of, params_of
from proxy.upstream.exchange import Question, Session, SessionOver
from proxy.upstream.headers import outgoing
from proxy.upstream.jsonrpc import Message, dumps, notification
from proxy.upstream.leaving import Leaving
from proxy.upstream.mcp_wire import STATELESS, cancelled_params, result_of
from proxy.upstream.mirrored import Marks, mirrored, name_header
from proxy.upstream.rounds import in_rounds
from proxy.upstream.streamable import Endpoint

_NOT_AS_LEARNED = frozenset({-32020, -32022})  # header mismatch, unsupported protocol version
log = logging.getLogger(__name__)


class HttpCalls:
    """Makes calls at one endpoint.

    `marks` gives the marked arguments of a tool, `outside` takes what a stateless server says that
    is no part of a call, `changed` is called when it is not the server that was asked about.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        numbers: "itertools.count[int]",
        marks: Callable[[str], Awaitable[Marks]],
        outside: Callable[[Message], bool],
        changed: Callable[[], None],
    ) -> None:
        self._endpoint = endpoint
        self._numbers = numbers
        self._marks = marks
        self._outside = outside
        self._changed = changed

    async def stateless(self, call: UpstreamCall, leaving: Leaving, clock: Clock) -> UpstreamResult:
        """Make a call that is complete in itself, in as many rounds as its tool needs."""
        headers = outgoing(await self._mirrored(call), call.headers)
        wiring = Wiring(_unanswered, self._outside, may_ask=False)

        async def send(inputs: Inputs) -> UpstreamResult:
            asked = self._question(call, Era.STATELESS, inputs, headers, leaving)
            async with Dialogue(call.conversation, asked.number, clock, wiring) as dialogue:
                message, _ = await self._endpoint.ask(Session(STATELESS), asked, dialogue.hear)
                await dialogue.heard()
            if message.error is not None and message.error.code in _NOT_AS_LEARNED:
                self._changed()
            return result_of(message, Era.STATELESS)

        return await in_rounds(call, send, partial(ask_client, call.conversation, clock))

    async def in_channel(
        self, call: UpstreamCall, channel: Channel, leaving: Leaving, clock: Clock
    ) -> UpstreamResult:
        """Make a call in its client's session."""
        headers = outgoing({}, call.headers)
        await self._set_level(call, channel)
        asked = self._question(call, Era.HANDSHAKE, inputs_of(call), headers, leaving)
        wiring = Wiring(partial(self._reply, channel.session, headers), channel.outside)
        async with Dialogue(call.conversation, asked.number, clock, wiring) as dialogue:
            with channel.calling(dialogue):
                message = await self._ask(channel, asked, dialogue, leaving)
                await dialogue.heard()
        return result_of(message, Era.HANDSHAKE)

    def _question(
        self,
        call: UpstreamCall,
        era: Era,
        inputs: Inputs,
        headers: Mapping[str, str],
        leaving: Leaving,
    ) -> Question:
        """Return a call as a request; its own clock ends it before the connection's does."""
        number = next(self._numbers)
        params = params_of(call, era, number, inputs)
        longest_s = call.timeout_s + 2 * ASKING_S
        return Question(number, call.method, params, headers, longest_s, leaving)

    async def _ask(
        self, channel: Channel, asked: Question, dialogue: Dialogue, leaving: Leaving
    ) -> Message:
        try:
            message, _ = await self._endpoint.ask(
                channel.session, asked, dialogue.hear, dialogue.pause
            )
        except SessionOver:
            channel.lose()
            raise
        except (OutcomeUnknown, asyncio.CancelledError):
            if leaving.left:
                params = cancelled_params(Era.HANDSHAKE, asked.number)
                body = notification("notifications/cancelled", params)
                self._endpoint.tell(channel.session, body, asked.headers)
            raise
        return message

    async def _mirrored(self, call: UpstreamCall) -> dict[str, str]:
        """Return the headers that repeat parts of a stateless call."""
        marks = await self._marks(call.manifest.tool) if call.method == TOOLS_CALL else ()
        return {**name_header(call), **mirrored(marks, call.arguments)}

    async def _set_level(self, call: UpstreamCall, channel: Channel) -> None:
        """Let the server know the level of log messages that a stateless call asks for.

        The session has one level: what a later call of it does not want is left out on the way.
        """
        level = call.conversation.log_level
        if call.conversation.era is not Era.STATELESS or level in {None, channel.log_level}:
            return
        channel.log_level = level
        params = b'{"level":%b}' % dumps(level)
        asked = Question(next(self._numbers), "logging/setLevel", params)
        try:
            await self._endpoint.ask(channel.session, asked)
        except UpstreamError as failed:
            log.info("a server took no level of log messages: %s", failed)

    async def _reply(self, session: Session, headers: Mapping[str, str], body: bytes) -> None:
        """Answer what a server asked; one that does not take it has to go on without."""
        try:
            await self._endpoint.reply(session, body, headers)
        except UpstreamError as failed:
            log.info("a server did not take an answer: %s", failed)


async def _unanswered(_: bytes) -> None:
    """Answer nothing: a stateless server has no requests."""
