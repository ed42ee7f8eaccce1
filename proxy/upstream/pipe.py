"""The connection to one running MCP server: many requests share one pair of pipes.

Framing (MCP, transports, stdio): one JSON-RPC message a line, UTF-8, no newline inside.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.process.child import Child
from proxy.upstream.dialogue import Dialogue
from proxy.upstream.exchange import Question
from proxy.upstream.jsonrpc import Message, answer, notification, own_reply, parse, request
from proxy.upstream.mcp_wire import SUBSCRIPTION, cancelled_params

MAX_WAITING_BYTES = 64 * 1024


class Pipe:
    """Requests to one child, and what comes back.

    `run` reads until the connection breaks; from then on every request under way is OutcomeUnknown
    and every new one UpstreamFailed. `outside` takes what is no part of a call. `era` is set once
    it is agreed on.
    """

    def __init__(self, child: Child, outside: Callable[[Message], object]) -> None:
        if child.stdin is None or child.stdout is None:
            raise ValueError("the child has to be spawned with pipes")
        self._stdin = child.stdin
        self._stdout = child.stdout
        self._outside = outside
        self.era = Era.HANDSHAKE
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Message]] = {}
        self._calls: dict[int, Dialogue] = {}
        self._turn = asyncio.Lock()
        self._broken = False
        # With no room at all, `drain` returns when every earlier byte has left for the child.
        self._stdin.transport.set_write_buffer_limits(high=0)

    def number(self) -> int:
        """Return the number of the next request."""
        return next(self._numbers)

    async def ask(self, asked: Question, dialogue: Dialogue | None = None) -> Message:
        """Send one request and return its answer; a call has a dialogue for what comes beside it.

        Raises UpstreamFailed when nothing was sent, OutcomeUnknown when no answer came. When a call
        is cancelled, or its answer does not come in time, the server is told.
        """
        number = asked.number
        try:
            async with asyncio.timeout(asked.timeout_s):
                with self._calling(dialogue):
                    await self._send(asked)
                    return await self._pending[number]
        except TimeoutError as late:
            if number not in self._pending:
                raise UpstreamFailed("it does not read what it is sent") from late
            self._give_up(dialogue, number)
            raise OutcomeUnknown("it did not answer in time") from late
        except asyncio.CancelledError:
            self._give_up(dialogue, number)
            raise
        finally:
            self._pending.pop(number, None)

    async def answer(self, line: bytes) -> None:
        """Answer what the server asked, as soon as it reads."""
        async with self._turn:
            await self._drained()
            self._write(line)

    def tell(self, method: str, params: bytes | None = None) -> None:
        """Send one notification, behind what is being written."""
        self._write(notification(method, params))

    def post(self, number: int, method: str, params: bytes) -> None:
        """Send one request whose answer nobody waits for."""
        self._write(request(number, method, params))

    async def run(self) -> str:
        """Read until the connection breaks and return why."""
        why = "it closed its output"
        try:
            while line := await self._stdout.readline():
                if line.strip() and not self._take(parse(line)):
                    await asyncio.sleep(0)  # who talks without being asked does not hold us up
        except (ValueError, OSError) as problem:  # too long a line is a ValueError
            why = f"what it sends cannot be read: {problem}"
        finally:
            self._break()
        return why

    @contextmanager
    def _calling(self, dialogue: Dialogue | None) -> Iterator[None]:
        if dialogue is None:
            yield
            return
        self._calls[dialogue.token] = dialogue
        try:
            yield
        finally:
            del self._calls[dialogue.token]

    async def _send(self, asked: Question) -> None:
        line = request(asked.number, asked.method, asked.params)
        async with self._turn:
            await self._drained()
            asked.sending()
            self._pending[asked.number] = asyncio.get_running_loop().create_future()
            self._write(line)

    async def _drained(self) -> None:
        try:
            await self._stdin.drain()
        except ConnectionError as gone:
            raise UpstreamFailed("it is not running") from gone
        if self._broken or self._stdin.is_closing():
            raise UpstreamFailed("it is not running")

    def _write(self, line: bytes) -> None:
        self._stdin.write(line + b"\n")

    def _give_up(self, dialogue: Dialogue | None, number: int) -> None:
        """Tell the server that a call it has is no longer waited for; a handshake may not be."""
        if dialogue is not None and number in self._pending and not self._broken:
            self.tell("notifications/cancelled", cancelled_params(self.era, number))

    def _take(self, message: Message) -> bool:
        """Act on one message; return whether it was an answer somebody waits for."""
        if message.is_answer:
            return self._answered(message)
        if message.is_request:
            self._asked(message)
        else:
            self._told(message)
        return False

    def _answered(self, message: Message) -> bool:
        waiting = self._pending.get(message.id) if isinstance(message.id, int) else None
        if waiting is None or waiting.done():
            return False
        waiting.set_result(message)
        return True

    def _asked(self, message: Message) -> None:
        """Let the client answer whose call it must be about; nobody, when that cannot be told."""
        if self.era is Era.STATELESS:
            return  # MCP 2026-07-28: a server does not ask, and is not answered
        newest = self._newest() if message.method != "ping" else None
        if newest is None:
            is_read = self._stdin.transport.get_write_buffer_size() <= MAX_WAITING_BYTES
            self._write(answer(message, own_reply(message)))
        else:
            is_read = newest.overhear(message)
        if not is_read:
            raise ValueError("it asks without reading the answers")

    def _told(self, message: Message) -> None:
        method, meta = message.method or "", message.param("_meta")
        if method == "notifications/progress":
            token = message.param("progressToken")
            self._hand(message, self._calls.get(token) if isinstance(token, int) else None)
        elif method == "notifications/cancelled":
            for dialogue in self._calls.values():
                dialogue.overhear(message)
        elif (
            (isinstance(meta, dict) and SUBSCRIPTION in meta)
            or method.endswith("/list_changed")
            or method == "notifications/resources/updated"
        ):
            self._outside(message)
        else:
            self._hand(message, self._newest())

    def _hand(self, message: Message, dialogue: Dialogue | None) -> None:
        if dialogue is not None:
            dialogue.overhear(message)

    def _newest(self) -> Dialogue | None:
        """Return the newest call when all calls are one session's: what names no call is for it."""
        calls = list(self._calls.values())
        alone = len({one.conversation.session for one in calls}) == 1
        return calls[-1] if alone else None

    def _break(self) -> None:
        self._broken = True
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(OutcomeUnknown("the connection to it broke"))
