import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.ingress.mcp_listen import MAX_URIS, STREAMS_PER_PRINCIPAL
from proxy.model.call import ToolCall
from proxy.model.ledger import Outcome
from proxy.model.mcp import Era, Notification
from proxy.model.step import Answer
from proxy.upstream.conversation import Conversation
from tests.harness.asgi import Connection, connect, until
from tests.harness.doors import META, RecordingGate, ask, done, refused, rpc, stateless_headers

HEADERS = stateless_headers("subscriptions/listen")
EVERYTHING: dict[str, Any] = {
    "toolsListChanged": True,
    "promptsListChanged": True,
    "resourcesListChanged": True,
}
TOOLS = Notification("notifications/tools/list_changed", b"{}")
PROMPTS = Notification("notifications/prompts/list_changed", b"{}")
UPDATED = Notification("notifications/resources/updated", b'{"uri":"f:x"}')
SUBSCRIPTION = {"io.modelcontextprotocol/subscriptionId": 1}


@pytest.fixture
def gate() -> RecordingGate:
    methods = ("tools/call", "prompts/list", "resources/list", "resources/subscribe")
    return RecordingGate(methods=frozenset(("rec", method) for method in methods))


def listen(app: ASGIApp, path: str = "/mcp", **wanted: Any) -> Connection:
    body = rpc("subscriptions/listen", {"_meta": META, "notifications": wanted})
    return connect(app, "POST", path, body, HEADERS)


async def acknowledged(app: ASGIApp, path: str = "/mcp", **wanted: Any) -> tuple[Connection, Any]:
    stream = listen(app, path, **wanted)
    (told,) = await stream.heard(1)
    assert told["method"] == "notifications/subscriptions/acknowledged"
    assert told["params"]["_meta"] == SUBSCRIPTION
    return stream, told["params"]["notifications"]


async def test_what_is_honoured_comes_first(app: ASGIApp) -> None:
    """Whatever the manifest makes possible, of what was asked for."""
    stream, honoured = await acknowledged(app, **EVERYTHING, unknown=True)
    assert honoured == EVERYTHING
    await stream.close()


async def test_what_is_not_offered_is_not_honoured(gate: RecordingGate, app: ASGIApp) -> None:
    """Nor what is asked for with anything but true."""
    gate.methods = frozenset({("rec", "tools/call"), ("rec", "prompts/list")})
    gate.answer = refused("unknown-tool")
    stream, honoured = await acknowledged(
        app, **EVERYTHING | {"promptsListChanged": 1}, resourceSubscriptions=["rec+f:x"]
    )
    assert honoured == {"toolsListChanged": True}
    await stream.close()


async def test_only_what_was_asked_for_is_told(gate: RecordingGate, app: ASGIApp) -> None:
    """Each with the id of its subscription."""
    stream, _ = await acknowledged(app, promptsListChanged=True)
    for said in (TOOLS, UPDATED, PROMPTS):
        gate.said.put_nowait(("rec", said))
    told = (await stream.heard(2))[1:]
    assert [had["method"] for had in told] == [PROMPTS.method]
    assert told[0]["params"] == {"_meta": SUBSCRIPTION}
    await stream.close()


@pytest.mark.parametrize(("path", "uri"), [("/mcp", "rec+f:x"), ("/mcp/rec", "f:x")])
async def test_each_resource_is_a_call_of_its_own(
    gate: RecordingGate, app: ASGIApp, path: str, uri: str
) -> None:
    """In a session of the stream's own, which hears of it under the client's name for it."""
    sessions: list[Conversation] = []

    async def meanwhile(conversation: Conversation) -> None:
        sessions.append(conversation)

    gate.meanwhile = meanwhile
    stream, honoured = await acknowledged(app, path, resourceSubscriptions=[uri, uri])
    gate.said.put_nowait(("rec", UPDATED))
    told = (await stream.heard(2))[1]
    assert honoured == {"resourceSubscriptions": [uri]}
    assert [call.resource_id for call in gate.calls] == ["rec/resources/subscribe"]
    assert gate.calls[0].arguments == b'{"uri":"f:x"}'
    assert (sessions[0].era, [sessions[0].session]) == (Era.STATELESS, gate.watched)
    assert told["params"] == {"uri": uri, "_meta": SUBSCRIPTION}
    await stream.close()


async def test_a_refused_resource_is_not_honoured(gate: RecordingGate, app: ASGIApp) -> None:
    """Neither by policy nor by its server nor for its form; others are."""

    def answer(call: ToolCall) -> Answer:
        if b"f:denied" in call.arguments:
            return Answer("s", "deny", (), Outcome.DENIED)
        if b"f:failing" in call.arguments:
            return Answer("s", "allow", (), Outcome.DONE, result=b"{}", is_rpc_error=True)
        return done(call)

    gate.answer = answer
    uris = ["rec+f:denied", "rec+f:failing", "f:unprefixed", "rec+f:x"]
    stream, honoured = await acknowledged(app, resourceSubscriptions=uris)
    assert honoured == {"resourceSubscriptions": ["rec+f:x"]}
    await stream.close()


async def test_closing_lets_go_of_everything(gate: RecordingGate, app: ASGIApp) -> None:
    """Within a moment, at the servers too."""
    stream, _ = await acknowledged(app, **EVERYTHING)
    (session,) = gate.watched
    await stream.close()
    assert (gate.watched, gate.streams, gate.forgotten) == ([], [], [session])


async def test_a_kill_ends_it_without_a_word(gate: RecordingGate, app: ASGIApp) -> None:
    """The end of the gateway with the result of the request."""
    for killed, words in ((False, 0), (True, 1)):
        stream, _ = await acknowledged(app, toolsListChanged=True)
        gate.killed = killed  # what `ready` says: a gateway that drains takes nothing new
        gate.streams[0].set()
        await stream.ended()
        assert len(stream.events) == 1 + words
    result = stream.events[-1]["result"]
    assert result["resultType"] == "complete"
    assert result["_meta"].items() >= SUBSCRIPTION.items()


async def test_no_stream_opens_under_a_kill(gate: RecordingGate, app: ASGIApp) -> None:
    """And no server is asked."""
    gate.killed = True
    stream = await listen(app, resourceSubscriptions=["rec+f:x"]).ended()
    assert (stream.status, stream.json["error"]["code"], gate.calls) == (503, -32011, [])


async def test_servers_that_have_nothing_more_to_say_do_not_end_it(
    gate: RecordingGate, app: ASGIApp
) -> None:
    """The client would only come again."""
    stream, _ = await acknowledged(app, toolsListChanged=True)
    gate.said.put_nowait(None)
    await asyncio.sleep(0.02)
    assert stream.serving is not None
    assert not stream.serving.done()
    await stream.close()


async def test_an_agent_has_only_so_many_streams(gate: RecordingGate, app: ASGIApp) -> None:
    """Those it closes can be opened again."""
    streams = [listen(app, toolsListChanged=True) for _ in range(STREAMS_PER_PRINCIPAL)]
    await until(lambda: len(gate.watched) == STREAMS_PER_PRINCIPAL)
    assert (await listen(app).ended()).status == 429
    for stream in streams:
        await stream.close()
    stream, _ = await acknowledged(app)
    await stream.close()


@pytest.mark.parametrize(
    ("params", "headers", "status"),
    [
        ({}, {}, 400),
        ({"notifications": []}, {}, 400),
        ({"notifications": {"resourceSubscriptions": "f:x"}}, {}, 400),
        ({"notifications": {"resourceSubscriptions": [1]}}, {}, 400),
        ({"notifications": {"resourceSubscriptions": ["f:x"] * (MAX_URIS + 1)}}, {}, 400),
        ({"notifications": {}}, {"accept": "application/json"}, 406),
    ],
)
async def test_listening_has_its_form(
    app: ASGIApp, params: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    """The filter is an object, the answer a stream."""
    body = rpc("subscriptions/listen", {"_meta": META} | params)
    reply = await ask(app, "POST", "/mcp", body, HEADERS | headers)
    assert (reply.status, json.loads(reply.body)["id"]) == (status, 1)
