"""One pair of pipes, many requests."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import OutcomeUnknown, Refused, UpstreamFailed
from proxy.model.mcp import Era
from proxy.process.child import Child, ChildSpec, spawn
from proxy.upstream.clock import Clock
from proxy.upstream.conversation import Conversation, Silence
from proxy.upstream.dialogue import Dialogue, Wiring
from proxy.upstream.exchange import Question
from proxy.upstream.jsonrpc import Message
from proxy.upstream.mcp_wire import params
from proxy.upstream.pipe import Pipe
from tests.harness.client import Client
from tests.harness.scripted import SCRIPT


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give the file of what the server reads."""
    path = tmp_path / "log"
    path.touch()
    return path


@pytest.fixture
async def child(log: Path) -> AsyncIterator[Child]:
    """Give a scripted server."""
    command = (sys.executable, "-I", "-S", str(SCRIPT), str(log))
    running = await spawn(ChildSpec("scripted", command))
    yield running
    await running.stop(0.2)


@pytest.fixture
def outside() -> list[Message]:
    """Give what the server said outside of calls."""
    return []


@pytest.fixture
async def pipe(child: Child, outside: list[Message]) -> AsyncIterator[Pipe]:
    """Give a pipe to it that is being read."""
    made = Pipe(child, outside.append)
    reading = asyncio.create_task(made.run())
    yield made
    reading.cancel()
    await asyncio.wait({reading})


def nothing() -> None:
    """Nothing stands against a request."""


def question(
    pipe: Pipe,
    tool: str,
    timeout_s: float = 5,
    sending: Callable[[], None] = nothing,
    arguments: bytes = b"{}",
) -> Question:
    """Return a call as a request of this pipe."""
    named = b'"name":"%b","arguments":%b' % (tool.encode(), arguments)
    asked = params(pipe.era, named)
    return Question(pipe.number(), "tools/call", asked, {}, timeout_s, sending)


async def called(pipe: Pipe, asked: Question, client: Conversation | None = None) -> Any:
    """Make a call with a client at the other end."""
    wiring = Wiring(pipe.answer, lambda _: False)
    end = client or Silence()
    async with Clock(10) as clock, Dialogue(end, asked.number, clock, wiring) as dialogue:
        answered = await pipe.ask(asked, dialogue)
        await dialogue.heard()
        return answered.result


async def ask(pipe: Pipe, tool: str, timeout_s: float = 5, arguments: bytes = b"{}") -> Any:
    """Make a call that nobody listens to."""
    return await called(pipe, question(pipe, tool, timeout_s, nothing, arguments))


async def told(log: Path, count: int = 1) -> list[dict[str, Any]]:
    """Return the cancellations the server read, once there are that many."""
    async with asyncio.timeout(5):
        while True:
            lines = [json.loads(line) for line in log.read_bytes().splitlines()]
            found = [one for one in lines if one.get("method") == "notifications/cancelled"]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.01)


async def test_an_answer_finds_its_request(pipe: Pipe) -> None:
    """Unknown ids, ids of another type and second answers are nobody's."""
    assert await ask(pipe, "twice") == {"right": 1}
    assert await ask(pipe, "echo") == {}


async def test_answers_may_come_in_any_order(pipe: Pipe) -> None:
    """A request that waits does not hold up another."""
    slow = asyncio.create_task(ask(pipe, "silent"))
    await asyncio.sleep(0)
    assert await ask(pipe, "echo") == {}
    slow.cancel()


async def test_blank_lines_are_read_over(pipe: Pipe) -> None:
    """Some servers write them."""
    assert await ask(pipe, "blank") == {}


async def test_a_servers_requests_are_answered(pipe: Pipe) -> None:
    """A ping with a result, everything else with method-not-found, under the server's ids."""
    ping, sampling = (await ask(pipe, "ask"))["replies"]
    assert (ping["id"], ping["result"]) == ("a", {})
    assert (sampling["id"], sampling["error"]["code"]) == (7, -32601)


async def test_a_client_answers_a_servers_requests(pipe: Pipe) -> None:
    """All but pings: those are the connection's."""
    client = Client(Era.HANDSHAKE)
    _, sampling = (await called(pipe, question(pipe, "ask"), client))["replies"]
    assert sampling["result"]["model"] == "m"
    assert [method for method, _ in client.asked] == ["sampling/createMessage"]


async def test_nobody_is_asked_for_another_session(pipe: Pipe) -> None:
    """While calls of two sessions are under way, it cannot be told whose request that is (I20)."""
    one, two = Client(Era.HANDSHAKE, "one"), Client(Era.HANDSHAKE, "two")
    other = asyncio.create_task(called(pipe, question(pipe, "silent"), two))
    await asyncio.sleep(0.05)
    _, sampling = (await called(pipe, question(pipe, "ask"), one))["replies"]
    assert sampling["error"]["code"] == -32601
    assert (one.asked, two.asked) == ([], [])
    other.cancel()


async def test_a_request_is_withdrawn(pipe: Pipe) -> None:
    """The client is no longer asked, and the call goes on."""
    client = Client(Era.HANDSHAKE, thinks_s=60)
    assert await called(pipe, question(pipe, "withdraw"), client) == {}


async def test_what_a_server_says_beside_finds_its_way(pipe: Pipe, outside: list[Message]) -> None:
    """Progress by its token, lists and resources outside, anything else to the one session."""
    client = Client(Era.HANDSHAKE)
    number = pipe.number()
    meta = b'"name":"talk","_meta":{"progressToken":%d}' % number
    asked = Question(number, "tools/call", params(pipe.era, meta))
    await called(pipe, asked, client)
    methods = ["notifications/progress"] * 3 + ["notifications/message", "notifications/odd"]
    assert [method for method, _ in client.told] == methods
    assert [one["at"] for one in client.heard("notifications/progress")] == [0, 1, 2]
    kinds = ["notifications/resources/updated", "notifications/prompts/list_changed"]
    assert [one.method for one in outside] == kinds


async def test_what_names_no_call_is_dropped_when_several_could_be_meant(pipe: Pipe) -> None:
    """Log messages of one client's call are no other client's (I20)."""
    one, two = Client(Era.HANDSHAKE, "one"), Client(Era.HANDSHAKE, "two")
    other = asyncio.create_task(called(pipe, question(pipe, "silent"), two))
    await asyncio.sleep(0.05)
    await called(pipe, question(pipe, "talk"), one)
    assert (one.told, two.told) == ([], [])
    other.cancel()


async def test_a_stateless_server_is_not_answered(pipe: Pipe, log: Path) -> None:
    """MCP 2026-07-28: it does not ask, and clients write no answers."""
    pipe.era = Era.STATELESS
    with pytest.raises(OutcomeUnknown):
        await ask(pipe, "ask", timeout_s=0.2)
    assert b'"error"' not in log.read_bytes()
    assert b'"result"' not in log.read_bytes()


async def test_a_request_nobody_waits_for(pipe: Pipe, log: Path) -> None:
    """Its answer is nobody's."""
    pipe.post(pipe.number(), "resources/subscribe", b'{"uri":"a://b"}')
    assert await ask(pipe, "echo") == {}
    assert b'"resources/subscribe"' in log.read_bytes()


async def test_a_late_call_is_cancelled_at_the_server(pipe: Pipe, log: Path) -> None:
    """The server is told the number of the request."""
    with pytest.raises(OutcomeUnknown, match="in time"):
        await ask(pipe, "silent", timeout_s=0.1)
    (cancelled,) = await told(log)
    assert cancelled["params"]["requestId"] == 1
    assert "id" not in cancelled


async def test_a_cancelled_call_is_cancelled_at_the_server(pipe: Pipe, log: Path) -> None:
    """In the stateless era with its _meta."""
    pipe.era = Era.STATELESS
    sent = asyncio.Event()
    task = asyncio.create_task(called(pipe, question(pipe, "silent", 5, sent.set)))
    await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "_meta" in (await told(log))[0]["params"]


async def test_a_handshake_is_not_cancelled(pipe: Pipe, log: Path) -> None:
    """MCP forbids it; only calls are."""
    with pytest.raises(OutcomeUnknown):
        await pipe.ask(Question(pipe.number(), "nothing", b"{}", {}, 0.1))
    with pytest.raises(OutcomeUnknown):
        await ask(pipe, "silent", timeout_s=0.1)
    assert len(await told(log)) == 1


@pytest.mark.parametrize("size", [70_000, 1_000_000])
async def test_a_server_that_does_not_read_gets_nothing_more(size: int, pipe: Pipe) -> None:
    """While any earlier byte waits in our buffer, no call begins: it failed, and was not asked."""
    await ask(pipe, "deaf")
    full = asyncio.create_task(ask(pipe, "echo", 5, b'{"a":"%b"}' % (b"x" * size)))
    await asyncio.sleep(0.1)

    def never() -> None:
        raise AssertionError("sending was called")

    with pytest.raises(UpstreamFailed, match="read"):
        await pipe.ask(Question(pipe.number(), "tools/call", b"{}", {}, 0.1, never))
    full.cancel()


async def test_a_refusal_leaves_the_pipe_usable(pipe: Pipe) -> None:
    """What sending raises passes; nothing waits for an answer that will not come."""

    def refuse() -> None:
        raise Refused.because("killed")

    with pytest.raises(Refused):
        await pipe.ask(Question(pipe.number(), "tools/call", b"{}", {}, 5, refuse))
    assert pipe._pending == {}
    assert await ask(pipe, "echo") == {}


async def test_a_call_cancelled_before_it_is_sent_is_not_told(pipe: Pipe, log: Path) -> None:
    """Nothing was sent, so there is nothing to cancel."""
    async with pipe._turn:
        waiting = asyncio.create_task(ask(pipe, "silent"))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait({waiting})
    await ask(pipe, "echo")
    assert len(log.read_bytes().splitlines()) == 2  # its start, and the one call


async def test_an_answer_before_the_end_counts(pipe: Pipe) -> None:
    """A server that answers and ends at once has answered."""
    assert await ask(pipe, "last") == {"last": 1}
    answered: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    answered.set_result(Message(9))
    pipe._pending[9] = answered
    pipe._break()
    assert await answered == Message(9)


async def test_a_server_that_ended_takes_no_call(child: Child) -> None:
    """After the end of its output every call failed."""
    pipe = Pipe(child, lambda _: None)
    reading = asyncio.create_task(pipe.run())
    with pytest.raises(OutcomeUnknown):
        await ask(pipe, "exit")
    assert await reading == "it closed its output"
    with pytest.raises(UpstreamFailed, match="not running"):
        await ask(pipe, "echo")


async def test_a_server_that_is_gone_before_we_know_takes_no_call(child: Child) -> None:
    """The pipe itself says so when nobody reads the output yet."""
    pipe = Pipe(child, lambda _: None)
    await child.stop(0)
    with pytest.raises(UpstreamFailed, match="not running"):
        await ask(pipe, "echo")


async def test_a_child_without_pipes_is_refused(tmp_path: Path) -> None:
    """It could not be spoken to."""
    running = await spawn(ChildSpec("mute", ("/bin/true",)), pipes=False)
    with pytest.raises(ValueError, match="pipes"):
        Pipe(running, lambda _: None)
    await running.stop(0)
