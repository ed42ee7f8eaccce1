"""What a server says while a call runs, and what it is answered."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.mcp import Era, RpcReply
from proxy.upstream.clock import Clock
from proxy.upstream.dialogue import MAX_ASKED, MAX_ASKING, MAX_WAITING, Dialogue, Wiring, ask_client
from proxy.upstream.jsonrpc import Message, parse
from tests.harness.client import Client

TOKEN = 7


def notification(method: str, **params: Any) -> Message:
    return parse(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())


def request(number: int | str, method: str) -> Message:
    return parse(json.dumps({"jsonrpc": "2.0", "id": number, "method": method}).encode())


def progress(token: Any, step: int = 0) -> Message:
    return notification("notifications/progress", progressToken=token, progress=step)


class Server:
    """The transport's end: what the server was answered, and what was no part of a call."""

    def __init__(self, *, watched: bool = False, may_ask: bool = True) -> None:
        self.answers: list[dict[str, Any]] = []
        self.outside: list[Message] = []
        self.watched = watched
        self.wiring = Wiring(self.answer, self.take, may_ask)

    async def answer(self, line: bytes) -> None:
        self.answers.append(json.loads(line))

    def take(self, message: Message) -> bool:
        self.outside.append(message)
        return self.watched


@asynccontextmanager
async def talking(client: Client, server: Server) -> AsyncIterator[Dialogue]:
    async with Clock(5) as clock, Dialogue(client, TOKEN, clock, server.wiring) as dialogue:
        yield dialogue
        await dialogue.heard()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_everything_is_passed_on_in_order() -> None:
    """One by one, also to a client that takes its time; the block waits for that."""
    client = Client(Era.HANDSHAKE, slow_s=0.005)
    async with talking(client, Server()) as dialogue:
        for step in range(5):
            await dialogue.hear(progress(TOKEN, step))
        await dialogue.hear(notification("notifications/odd", x=1))
    assert [one["progress"] for one in client.heard("notifications/progress")] == [0, 1, 2, 3, 4]
    assert client.heard("notifications/odd") == [{"x": 1}]


@pytest.mark.parametrize(
    ("era", "wants_progress", "level", "message", "told"),
    [
        (Era.HANDSHAKE, True, None, progress(TOKEN), 1),
        (Era.HANDSHAKE, True, None, progress(8), 0),
        (Era.HANDSHAKE, True, None, progress("7"), 0),
        (Era.HANDSHAKE, False, None, progress(TOKEN), 0),
        (Era.HANDSHAKE, True, None, notification("notifications/message", level="debug"), 1),
        (Era.STATELESS, True, None, notification("notifications/message", level="alert"), 0),
        (Era.STATELESS, True, "error", notification("notifications/message", level="info"), 0),
        (Era.STATELESS, True, "error", notification("notifications/message", level="error"), 1),
        (Era.STATELESS, True, "error", notification("notifications/message", level="new"), 1),
        (Era.STATELESS, True, "error", notification("notifications/message", level=1), 1),
        (Era.HANDSHAKE, True, None, Message(3, result={}), 0),
        (Era.HANDSHAKE, True, None, notification("notifications/cancelled", requestId=1), 0),
        (Era.HANDSHAKE, True, None, notification("notifications/cancelled"), 0),
    ],
)
async def test_what_a_client_is_told(
    era: Era, wants_progress: bool, level: str | None, message: Message, told: int
) -> None:
    """Its own progress, messages as grave as it asked for; what is the transport's is not told."""
    client = Client(era, wants_progress=wants_progress, log_level=level)
    async with talking(client, Server()) as dialogue:
        await dialogue.hear(message)
    assert len(client.told) == told


@pytest.mark.parametrize(
    ("era", "watched", "told"),
    [(Era.HANDSHAKE, True, 0), (Era.HANDSHAKE, False, 1), (Era.STATELESS, False, 0)],
)
@pytest.mark.parametrize(
    "method", ["notifications/resources/updated", "notifications/prompts/list_changed"]
)
async def test_what_is_no_part_of_a_call_goes_to_who_listens(
    method: str, era: Era, watched: bool, told: int
) -> None:
    """And into the call's own stream when nobody does, where that may bring such things."""
    client, server = Client(era), Server(watched=watched)
    async with talking(client, server) as dialogue:
        await dialogue.hear(notification(method))
    assert len(server.outside) == 1
    assert len(client.told) == told


async def test_a_request_is_answered_by_the_client() -> None:
    """With a result or an error, under the server's id."""
    client, server = Client(Era.HANDSHAKE), Server()
    async with talking(client, server) as dialogue:
        await dialogue.hear(request("a", "roots/list"))
        await dialogue.hear(request(2, "no/such"))
        await eventually(lambda: len(server.answers) == 2)
    assert server.answers[0] == {"jsonrpc": "2.0", "id": "a", "result": {"roots": []}}
    assert server.answers[1]["error"] == {"code": -1, "message": "refused"}


async def test_a_ping_is_not_the_clients() -> None:
    """It is answered here."""
    client, server = Client(Era.HANDSHAKE), Server()
    async with talking(client, server) as dialogue:
        await dialogue.hear(request(1, "ping"))
    assert (server.answers, client.asked) == ([{"jsonrpc": "2.0", "id": 1, "result": {}}], [])


async def test_a_stateless_server_has_no_requests() -> None:
    """They are neither passed on nor answered."""
    client, server = Client(Era.STATELESS), Server(may_ask=False)
    async with talking(client, server) as dialogue:
        await dialogue.hear(request(1, "roots/list"))
        await dialogue.hear(request(2, "ping"))
    assert (server.answers, client.asked) == ([], [])


async def test_a_client_that_thinks_does_not_hold_up_the_rest() -> None:
    """Notifications and other requests go on meanwhile."""
    client, server = Client(Era.HANDSHAKE, thinks_s=0.05), Server()
    async with talking(client, server) as dialogue:
        await dialogue.hear(request(1, "roots/list"))
        await dialogue.hear(progress(TOKEN))
        await dialogue.heard()
        assert (len(client.told), server.answers) == (1, [])
        await eventually(lambda: len(server.answers) == 1)


async def test_questions_at_once_are_bounded() -> None:
    """So is an id that is asked with twice."""
    client, server = Client(Era.HANDSHAKE, thinks_s=5), Server()
    async with talking(client, server) as dialogue:
        await dialogue.hear(request(0, "roots/list"))
        await dialogue.hear(request(0, "roots/list"))
        for number in range(1, MAX_ASKING + 1):
            await dialogue.hear(request(number, "roots/list"))
    assert [one["id"] for one in server.answers] == [0, MAX_ASKING]
    assert server.answers[0]["error"]["message"] == "Too many requests"


async def test_all_questions_of_a_call_are_bounded() -> None:
    """A server cannot ask for ever."""
    client, server = Client(Era.HANDSHAKE), Server()
    async with talking(client, server) as dialogue:
        for number in range(MAX_ASKED + 5):
            await dialogue.hear(request(number, "roots/list"))
            await eventually(lambda: len(server.answers) == number + 1)  # noqa: B023 waited for
    assert len(client.asked) == MAX_ASKED


async def test_a_withdrawn_question_is_not_asked_any_more() -> None:
    """The server is not answered either."""
    client, server = Client(Era.HANDSHAKE, thinks_s=5), Server()
    async with talking(client, server) as dialogue:
        await dialogue.hear(request("q", "roots/list"))
        await dialogue.heard()
        await eventually(lambda: len(client.asked) == 1)
        await dialogue.hear(notification("notifications/cancelled", requestId="q"))
        await dialogue.heard()
        await eventually(lambda: not dialogue._asking)
    assert server.answers == []


async def test_the_end_of_a_call_withdraws_its_questions() -> None:
    """At once."""
    client, server = Client(Era.HANDSHAKE, thinks_s=5), Server()
    began = asyncio.get_running_loop().time()
    async with talking(client, server) as dialogue:
        await dialogue.hear(request(1, "roots/list"))
        await dialogue.heard()
    assert asyncio.get_running_loop().time() - began < 1
    assert server.answers == []


async def test_a_client_is_let_go_after_it_was_told_everything() -> None:
    """However slowly it takes that."""
    client = Client(Era.HANDSHAKE, slow_s=0.01)
    async with talking(client, Server()) as dialogue:
        await dialogue.hear(progress(TOKEN))
        await dialogue.pause(0.5)
        assert (len(client.told), client.pauses) == (1, [0.5])


class Refusing(Client):
    """A client whose guard stops the call."""

    async def tell(self, method: str, params: bytes) -> None:
        raise Refused.because("canary-touched")

    async def ask(self, method: str, params: bytes) -> RpcReply:
        raise Refused.because("canary-touched")


@pytest.mark.parametrize("message", [progress(TOKEN), request(1, "roots/list")])
async def test_what_the_conversation_raises_ends_the_call(message: Message) -> None:
    """As what it is, and at once."""

    async def call() -> None:
        async with talking(Refusing(Era.HANDSHAKE), Server()) as dialogue:
            await dialogue.hear(message)
            await asyncio.sleep(5)

    with pytest.raises(Refused):
        await call()


async def test_what_the_block_raises_passes() -> None:
    """As what it is, and whatever caused it."""
    with pytest.raises(ValueError, match="mine"):
        async with talking(Client(Era.HANDSHAKE), Server()):
            raise ValueError("mine") from KeyError("cause")


async def test_a_cancelled_call_stops_talking() -> None:
    """What a client is told or asked is cut with it."""
    client = Client(Era.HANDSHAKE, slow_s=5)
    begun = asyncio.Event()

    async def call() -> None:
        async with talking(client, Server()) as dialogue:
            await dialogue.hear(progress(TOKEN))
            begun.set()

    task = asyncio.create_task(call())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert client.told == []


async def test_overhearing_is_bounded() -> None:
    """Beyond a number of messages, and of bytes, what nobody waits for is dropped."""
    client = Client(Era.HANDSHAKE, slow_s=0.001)
    async with Clock(5) as clock, Dialogue(client, TOKEN, clock, Server().wiring) as dialogue:
        kept = [dialogue.overhear(progress(TOKEN)) for _ in range(MAX_WAITING + 10)]
        assert kept.count(False) == 10
    big = notification("notifications/odd", x="x" * 3_000_000)
    async with Clock(5) as clock, Dialogue(client, TOKEN, clock, Server().wiring) as dialogue:
        assert [dialogue.overhear(big) for _ in range(3)] == [True, True, False]


async def test_a_client_that_never_answers_is_given_up() -> None:
    """The server gets an error it can read."""
    client = Client(Era.HANDSHAKE, thinks_s=5)
    async with Clock(5, asking_s=0.05) as clock:
        reply = await ask_client(client, clock, "roots/list", b"{}")
    assert b"in time" in (reply.error or b"")
