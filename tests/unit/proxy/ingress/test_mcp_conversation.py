import asyncio
import json
from typing import Any

import pytest

from proxy.ingress.jsonrpc import Response
from proxy.ingress.mcp_conversation import (
    MAX_QUESTIONS,
    Client,
    ClientEnd,
    HandshakeEnd,
    Questions,
    RoundsEnd,
)
from proxy.ingress.streams import Outlet
from proxy.model.mcp import Era, RpcReply
from tests.harness.asgi import Connection, until

BOTH = pytest.mark.parametrize("era", list(Era))
ELICIT = "elicitation/create"
FORM = b'{"message":"name?"}'
CAPABLE: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}


class Wire:
    """A connection and the answer on it."""

    def __init__(self, *, streams: bool = True) -> None:
        self.connection = Connection()
        self.outlet = Outlet(self.connection.receive, self.connection.send, streams=streams)

    @property
    def events(self) -> list[Any]:
        """What the client heard."""
        return self.connection.events if self.connection.sent else []


def end_of(wire: Wire, era: Era, **known: Any) -> ClientEnd:
    return ClientEnd(Client(era, "ses", **known), wire.outlet)


@BOTH
async def test_progress_comes_under_the_clients_own_token(era: Era) -> None:
    """Whatever the server was given; everything else as the server wrote it."""
    wire = Wire()
    end = end_of(wire, era, progress_token="mine")
    assert end.wants_progress
    await end.tell("notifications/progress", b'{"progressToken":7,"progress":1.50}')
    assert wire.events[0]["params"] == {"progressToken": "mine", "progress": 1.5}
    assert b'"progress":1.50' in wire.connection.body


@BOTH
async def test_nobody_hears_of_progress_unasked(era: Era) -> None:
    """Nor of progress that is none."""
    wire = Wire()
    end = end_of(wire, era)
    assert not end.wants_progress
    await end.tell("notifications/progress", b'{"progressToken":7}')
    await end_of(wire, era, progress_token=1).tell("notifications/progress", b"[]")
    assert wire.events == []


@pytest.mark.parametrize(
    ("era", "wanted", "levels"),
    [
        (Era.HANDSHAKE, None, ["debug", "error", "odd"]),
        (Era.HANDSHAKE, "error", ["error"]),
        (Era.STATELESS, None, []),
        (Era.STATELESS, "debug", ["debug", "error"]),
    ],
)
async def test_log_messages_are_filtered(era: Era, wanted: str | None, levels: list[str]) -> None:
    """By the client's level; without one the stateless era has none, the other all."""
    wire = Wire()
    end = end_of(wire, era, log_level=wanted)
    for level in ("debug", "error", "odd"):
        await end.tell("notifications/message", json.dumps({"level": level}).encode())
    assert [told["params"]["level"] for told in wire.events] == levels


@pytest.mark.parametrize(
    ("method", "eras"),
    [
        ("notifications/cancelled", []),
        ("notifications/initialized", []),
        ("notifications/subscriptions/acknowledged", []),
        ("tools/call", []),
        ("notifications/tools/list_changed", [Era.HANDSHAKE]),
        ("notifications/resources/updated", [Era.HANDSHAKE]),
        ("notifications/tasks/status", [Era.HANDSHAKE, Era.STATELESS]),
        ("notifications/vendor", [Era.HANDSHAKE, Era.STATELESS]),
    ],
)
async def test_only_what_is_for_this_client_is_told(method: str, eras: list[Era]) -> None:
    """Nothing about others' requests, and in the stateless era nothing of subscriptions."""
    for era in Era:
        wire = Wire()
        await end_of(wire, era).tell(method, b'{"uri":"f:x"}')
        assert [told["method"] for told in wire.events] == ([method] if era in eras else [])


async def test_an_aggregated_client_hears_of_uris_it_can_read() -> None:
    """With their server's name; on a server's own endpoint as they are."""
    for joined, uri in ((True, "rec+f:x"), (False, "f:x")):
        wire = Wire()
        client = Client(Era.HANDSHAKE, "ses").calling("rec", joined=joined)
        await ClientEnd(client, wire.outlet).tell(
            "notifications/resources/updated", b'{"uri":"f:x"}'
        )
        assert wire.events[0]["params"]["uri"] == uri


@BOTH
async def test_a_client_of_one_round_answers_nothing(era: Era) -> None:
    """It has no way to."""
    reply = await end_of(Wire(), era, capabilities=CAPABLE).ask(ELICIT, FORM)
    assert b"-32601" in (reply.error or b"")


def handshake_end(wire: Wire, questions: Questions, **capabilities: Any) -> HandshakeEnd:
    client = Client(Era.HANDSHAKE, "ses", capabilities or CAPABLE)
    return HandshakeEnd(client, wire.outlet, questions)


async def test_a_session_is_asked_on_its_stream_and_answers_by_id() -> None:
    """The id is ours, and good once."""
    wire, questions = Wire(), Questions()
    asking = asyncio.create_task(handshake_end(wire, questions).ask(ELICIT, FORM))
    await until(lambda: wire.events)
    (asked,) = wire.events
    assert (asked["method"], asked["params"]) == (ELICIT, json.loads(FORM))
    reply = RpcReply(result=b'{"action":"accept"}')
    assert not questions.answer(Response("ask_x", reply))
    assert questions.answer(Response(asked["id"], reply))
    assert not questions.answer(Response(asked["id"], reply))
    assert await asking == reply
    assert len(questions) == 0


async def test_a_cut_call_takes_its_request_back() -> None:
    """The client need not go on asking its user."""
    wire, questions = Wire(), Questions()
    asking = asyncio.create_task(handshake_end(wire, questions).ask(ELICIT, FORM))
    await until(lambda: wire.events)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    asked, taken_back = wire.events
    assert taken_back["method"] == "notifications/cancelled"
    assert taken_back["params"]["requestId"] == asked["id"]
    assert len(questions) == 0


async def test_what_a_session_cannot_hear_it_is_not_asked() -> None:
    """No stream, no capability, or too much at once."""
    questions = Questions()
    refusals = [
        await handshake_end(Wire(streams=False), questions).ask(ELICIT, FORM),
        await handshake_end(Wire(), questions, sampling={}).ask(ELICIT, FORM),
    ]
    waiting = [
        asyncio.create_task(handshake_end(Wire(), questions).ask(ELICIT, FORM))
        for _ in range(MAX_QUESTIONS)
    ]
    await until(lambda: len(questions) == MAX_QUESTIONS)
    refusals.append(await handshake_end(Wire(), questions).ask(ELICIT, FORM))
    assert all(b"-32601" in (reply.error or b"") for reply in refusals)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def rounds_end(wire: Wire, capabilities: Any = None) -> RoundsEnd:
    return RoundsEnd(Client(Era.STATELESS, "ses", capabilities or CAPABLE), wire.outlet)


async def asked(end: RoundsEnd, *methods: str) -> "list[asyncio.Task[RpcReply]]":
    asking = [asyncio.create_task(end.ask(method, FORM)) for method in methods]
    await asyncio.sleep(0)
    await asyncio.wait({end.asking()}, timeout=1)
    return asking


async def test_a_round_ends_with_everything_that_is_asked() -> None:
    """Nothing goes over the wire before."""
    wire = Wire()
    end = rounds_end(wire)
    asking = await asked(end, ELICIT, "roots/list")
    requests = json.loads(end.requests())
    assert [had["method"] for had in requests.values()] == [ELICIT, "roots/list"]
    assert wire.connection.sent == []
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert json.loads(end.requests()) == {}


async def test_the_next_round_answers_by_key() -> None:
    """In canonical form; what it leaves out is asked again, what nobody asked is dropped."""
    end, later = rounds_end(Wire()), Wire()
    first, second = await asked(end, ELICIT, "roots/list")
    key, other = json.loads(end.requests())
    answers = {key: {"b": 1.0, "a": 2}, "nobody": {}}
    end.resume(Client(Era.STATELESS, "ses", CAPABLE, "token"), later.outlet, answers)
    assert (await first).result == b'{"a":2,"b":1}'
    assert end.is_asking
    assert list(json.loads(end.requests())) == [other]
    await end.tell("notifications/progress", b'{"progressToken":1}')
    assert later.events[0]["params"]["progressToken"] == "token"
    second.cancel()


async def test_a_round_asks_only_what_can_be_answered() -> None:
    """What was declared, of the three kinds there are, and not too much."""
    end = rounds_end(Wire(), {"sampling": {}})
    refusals = [await end.ask(ELICIT, FORM), await end.ask("vendor/ask", FORM)]
    asking = await asked(end, *["sampling/createMessage"] * MAX_QUESTIONS)
    refusals.append(await end.ask("sampling/createMessage", FORM))
    assert all(b"-32601" in (reply.error or b"") for reply in refusals)
    for task in asking:
        task.cancel()


async def test_nothing_is_asked_until_something_is() -> None:
    """An answered question is none."""
    end = rounds_end(Wire())
    assert not end.asking().done()
    (asking,) = await asked(end, ELICIT)
    (key,) = json.loads(end.requests())
    end.resume(Client(Era.STATELESS, "ses", CAPABLE), Wire().outlet, {key: {}})
    assert not end.asking().done()
    assert (await asking).result == b"{}"
