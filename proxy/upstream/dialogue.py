"""What a server says to the client of one call while it runs, and what the client answers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from proxy.model.mcp import Era, RpcReply
from proxy.upstream.clock import Clock
from proxy.upstream.conversation import Conversation
from proxy.upstream.jsonrpc import Message, answer, error_object, own_reply

MAX_WAITING = 1024
MAX_WAITING_BYTES = 4 * 1024 * 1024
MAX_ASKING = 8
MAX_ASKED = 100
_LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
_TOO_MANY = RpcReply(error=error_object(-32000, "Too many requests"))
_TOO_LATE = RpcReply(error=error_object(-32000, "The client did not answer in time"))
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a dialogue needs of its transport.

    `answer` carries a reply to the server. `outside` takes a notification that is no part of a
    call and says whether anybody listens. Without `may_ask` (MCP 2026-07-28) a server has no
    requests.
    """

    answer: Callable[[bytes], Awaitable[None]]
    outside: Callable[[Message], bool]
    may_ask: bool = True


async def ask_client(
    conversation: Conversation, clock: Clock, method: str, params: bytes
) -> RpcReply:
    """Ask the client of a call, whose time stands still meanwhile."""
    try:
        return await clock.asking(lambda: conversation.ask(method, params))
    except TimeoutError:
        return _TOO_LATE


class Dialogue:
    """One call's dialogue, in the order in which the server speaks.

    A block: leaving it withdraws what the client is still being asked. What the conversation raises
    ends the block. `token` is the progress token the server was given.
    """

    def __init__(
        self, conversation: Conversation, token: int, clock: Clock, wiring: Wiring
    ) -> None:
        self.conversation = conversation
        self.token = token
        self._clock = clock
        self._wiring = wiring
        self._group = asyncio.TaskGroup()
        self._waiting: asyncio.Queue[Message] | None = None  # most calls are silent
        self._waiting_bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._asking: dict[int | str, asyncio.Task[None]] = {}
        self._asked = 0

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in (*self._asking.values(), self._worker):
            if task is not None:
                task.cancel()
        try:
            await self._group.__aexit__(kind, problem, trace)
        except BaseExceptionGroup as group:
            ended_by = group.exceptions[0]  # one thing ends a call: the group says nothing more
        else:
            return
        raise ended_by

    async def hear(self, message: Message) -> None:
        """Pass a message on; waits while the client is behind."""
        waiting = self._started()
        self._waiting_bytes += len(message.raw)
        await waiting.put(message)

    def overhear(self, message: Message) -> bool:
        """Pass a message on without waiting; drop it, and return False, when too much waits."""
        waiting = self._started()
        if waiting.full() or self._waiting_bytes > MAX_WAITING_BYTES:
            log.debug("too much waits; %s was dropped", message.method)
            return False
        self._waiting_bytes += len(message.raw)
        waiting.put_nowait(message)
        return True

    async def heard(self) -> None:
        """Wait until everything so far was passed on."""
        if self._waiting is not None:
            await self._waiting.join()

    async def pause(self, retry_s: float) -> None:
        """Let the client go, after everything so far."""
        await self.heard()
        await self.conversation.pause(retry_s)

    def withdraw(self, number: int | str) -> None:
        """Stop asking the client: the server cancelled its request."""
        task = self._asking.get(number)
        if task is not None:
            task.cancel()

    def _started(self) -> asyncio.Queue[Message]:
        if self._waiting is None:
            self._waiting = asyncio.Queue(MAX_WAITING)
            self._worker = self._group.create_task(self._work(self._waiting))
        return self._waiting

    async def _work(self, waiting: asyncio.Queue[Message]) -> None:
        while True:
            message = await waiting.get()
            self._waiting_bytes -= len(message.raw)
            await self._take(message)
            waiting.task_done()

    async def _take(self, message: Message) -> None:
        if message.is_request:
            await self._asks(message)
        elif message.method == "notifications/cancelled":
            number = message.param("requestId")
            if isinstance(number, int | str):
                self.withdraw(number)
        elif message.method is not None and self._is_wanted(message, message.method):
            await self.conversation.tell(message.method, message.raw)

    def _is_wanted(self, message: Message, method: str) -> bool:
        """Whether the client of this call is to be told."""
        if method == "notifications/progress":
            wanted = self.conversation.wants_progress
            return wanted and message.param("progressToken") == self.token
        if method == "notifications/message":
            return self._is_grave_enough(message.param("level"))
        if method == "notifications/resources/updated" or method.endswith("/list_changed"):
            # Before 2026-07-28 the stream of a call may bring what is no part of it.
            listened = self._wiring.outside(message)
            return not listened and self.conversation.era is not Era.STATELESS
        return True

    def _is_grave_enough(self, level: object) -> bool:
        """Whether a log message is wanted.

        Since 2026-07-28 by who named a level only; before, the server keeps the session's level.
        """
        floor = self.conversation.log_level
        if self.conversation.era is Era.STATELESS:
            return floor is not None and _rank(level) >= _rank(floor)
        return True

    async def _asks(self, message: Message) -> None:
        number = message.id
        if not self._wiring.may_ask or number is None:
            log.debug("a server may not ask in this version of MCP: %s", message.method)
        elif message.method == "ping":
            await self._wiring.answer(answer(message, own_reply(message)))
        elif number in self._asking or not self._may_ask_more():
            await self._wiring.answer(answer(message, _TOO_MANY))
        else:
            self._asked += 1
            asking = self._group.create_task(self._ask(message, message.method or ""))
            self._asking[number] = asking
            asking.add_done_callback(lambda _: self._asking.pop(number, None))

    def _may_ask_more(self) -> bool:
        return len(self._asking) < MAX_ASKING and self._asked < MAX_ASKED

    async def _ask(self, message: Message, method: str) -> None:
        reply = await ask_client(self.conversation, self._clock, method, message.raw)
        await self._wiring.answer(answer(message, reply))


def _rank(level: object) -> int:
    """Return how grave a level is; one we do not know is the gravest."""
    return _LEVELS.index(level) if level in _LEVELS else len(_LEVELS)
