"""The connection to one running MCP server: many requests share one pair of pipes.

Framing (MCP, transports, stdio): one JSON-RPC message a line, UTF-8, no newline inside.
"""

import asyncio
import itertools
from collections.abc import Callable

from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.mcp import Era
from proxy.process.child import Child
from proxy.upstream.jsonrpc import Message, notification, parse, reply, request
from proxy.upstream.mcp_wire import cancelled_params

MAX_WAITING_BYTES = 64 * 1024


class Pipe:
    """Requests to one child, and what comes back.

    `run` reads until the connection breaks; from then on every request under way is OutcomeUnknown
    and every new one UpstreamFailed. `on_changed` is called when the server says that its list of
    tools changed. `era` is set once it is agreed on.
    """

    def __init__(self, child: Child, on_changed: Callable[[], None]) -> None:
        if child.stdin is None or child.stdout is None:
            raise ValueError("the child has to be spawned with pipes")
        self._stdin = child.stdin
        self._stdout = child.stdout
        self._on_changed = on_changed
        self.era = Era.HANDSHAKE
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Message]] = {}
        self._turn = asyncio.Lock()
        self._broken = False
        # With no room at all, `drain` returns when every earlier byte has left for the child.
        self._stdin.transport.set_write_buffer_limits(high=0)

    async def ask(
        self, method: str, params: bytes, timeout_s: float, sending: Callable[[], None]
    ) -> Message:
        """Send one request and return its answer; `sending` is called right before its first byte.

        Raises UpstreamFailed when nothing was sent, OutcomeUnknown when no answer came. When a call
        is cancelled, or its answer does not come in time, the server is told.
        """
        number = next(self._numbers)
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(number, request(number, method, params), sending)
                return await self._pending[number]
        except TimeoutError as late:
            if number not in self._pending:
                raise UpstreamFailed("it does not read what it is sent") from late
            self._give_up(method, number)
            raise OutcomeUnknown("it did not answer in time") from late
        except asyncio.CancelledError:
            self._give_up(method, number)
            raise
        finally:
            self._pending.pop(number, None)

    def tell(self, method: str, params: bytes | None = None) -> None:
        """Send one notification, behind what is being written."""
        self._write(notification(method, params))

    def subscribe(self, params: bytes) -> None:
        """Ask for notifications outside of requests (2026-07-28); nobody waits for its end."""
        self._write(request(next(self._numbers), "subscriptions/listen", params))

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

    async def _send(self, number: int, line: bytes, sending: Callable[[], None]) -> None:
        async with self._turn:
            try:
                await self._stdin.drain()
            except ConnectionError as gone:
                raise UpstreamFailed("it is not running") from gone
            if self._broken or self._stdin.is_closing():
                raise UpstreamFailed("it is not running")
            sending()
            self._pending[number] = asyncio.get_running_loop().create_future()
            self._write(line)

    def _write(self, line: bytes) -> None:
        self._stdin.write(line + b"\n")

    def _give_up(self, method: str, number: int) -> None:
        """Tell the server that a call it has is no longer waited for; a handshake may not be."""
        if method == "tools/call" and number in self._pending and not self._broken:
            self.tell("notifications/cancelled", cancelled_params(self.era, number))

    def _take(self, message: Message) -> bool:
        """Act on one message; return whether it was an answer somebody waits for."""
        if message.is_answer:
            waiting = self._pending.get(message.id) if isinstance(message.id, int) else None
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
                return True
        elif message.id is not None:
            if self._stdin.transport.get_write_buffer_size() > MAX_WAITING_BYTES:
                raise ValueError("it asks without reading the answers")
            self._write(reply(message))
        elif message.method == "notifications/tools/list_changed":
            self._on_changed()
        return False

    def _break(self) -> None:
        self._broken = True
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(OutcomeUnknown("the connection to it broke"))
