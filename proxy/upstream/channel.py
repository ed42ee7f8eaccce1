"""One session with a server of the handshake era, and what it says in it outside of calls."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from proxy.errors import UpstreamError
from proxy.upstream.dialogue import Dialogue
from proxy.upstream.exchange import Session, SessionOver
from proxy.upstream.jsonrpc import Message, answer, own_reply
from proxy.upstream.listening import Listening
from proxy.upstream.streamable import Endpoint

LISTENED_S = 0.5

Outside = Callable[[str, Message], bool]


class Channel:
    """One session with the server, for one client's session: its `owner`.

    `outside` takes what is no part of a call, and whose session that is. A client that `can_answer`
    may be asked outside of the streams of calls too, so its channel is always listened to.
    """

    def __init__(
        self,
        owner: str,
        session: Session,
        endpoint: Endpoint,
        outside: Outside,
        *,
        can_answer: bool = False,
    ) -> None:
        self.owner = owner
        self.can_answer = can_answer
        self.session = session
        self.users = 0
        self.gone = asyncio.Event()
        self.log_level: str | None = None
        self._calls: dict[int, Dialogue] = {}
        self._endpoint = endpoint
        self._outside = outside
        self._listening: tuple[Listening, asyncio.Task[None]] | None = None

    def listen(self) -> None:
        """Listen to the server outside of calls from now on."""
        if self._listening is None:
            open_stream = partial(self._endpoint.listen, self.session)
            listening = Listening(self._endpoint.name, open_stream, self._hear, in_session=True)
            self._listening = (listening, asyncio.create_task(self._listen(listening)))

    async def listened(self) -> None:
        """Wait until the server has noticed that it is listened to, for a moment at most."""
        if self._listening is None:
            return
        opened = self._listening[0].opened
        try:
            async with asyncio.timeout(LISTENED_S):
                await opened.wait()
        except TimeoutError:
            opened.set()  # it answers when it has something to say: that is not waited for twice

    def close(self) -> None:
        """End the session at the server."""
        self.lose()
        self._endpoint.end(self.session)

    def lose(self) -> None:
        """Stop using a session that the server has ended."""
        self.gone.set()
        self.hush()

    def hush(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening[1].cancel()
            self._listening = None

    @contextmanager
    def calling(self, dialogue: Dialogue) -> Iterator[None]:
        """Let what comes outside of its own stream reach a call as well."""
        self._calls[dialogue.token] = dialogue
        try:
            yield
        finally:
            del self._calls[dialogue.token]

    def outside(self, message: Message) -> bool:
        """Take what is no part of a call; return whether anybody listens."""
        return self._outside(self.owner, message)

    async def _listen(self, listening: Listening) -> None:
        try:
            await listening.run()
        except SessionOver:
            self.lose()

    async def _hear(self, message: Message) -> None:
        """Take what came outside of the streams of calls."""
        newest = next(reversed(self._calls.values()), None)
        if message.is_request:
            await self._asked(message, newest)
        elif message.method == "notifications/cancelled":
            for dialogue in self._calls.values():
                dialogue.overhear(message)
        elif message.method == "notifications/progress":
            meant = self._calls.get(_number(message.param("progressToken")))
            if meant is not None:
                meant.overhear(message)
        elif message.method == "notifications/message" and newest is not None:
            newest.overhear(message)
        elif message.method is not None:
            self.outside(message)

    async def _asked(self, message: Message, newest: Dialogue | None) -> None:
        """Let the client of a call answer, whichever runs: all of them are the same client's."""
        if newest is not None and message.method != "ping":
            newest.overhear(message)
            return
        with suppress(UpstreamError):
            await self._endpoint.reply(self.session, answer(message, own_reply(message)), {})


def _number(token: object) -> int:
    return token if isinstance(token, int) else 0
