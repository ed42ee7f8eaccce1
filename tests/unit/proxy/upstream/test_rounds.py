"""Rounds made for a client that is asked while its call runs."""

import json
from typing import Any

import pytest

from proxy.errors import UpstreamFailed
from proxy.model.call import Round
from proxy.model.mcp import Era, RpcReply
from proxy.model.tool import Effect, ToolManifest
from proxy.upstream.base import UpstreamCall, UpstreamResult
from proxy.upstream.envelope import Inputs
from proxy.upstream.rounds import MAX_QUESTIONS, MAX_ROUNDS, in_rounds
from tests.harness.client import Client

DONE = UpstreamResult(b'{"content":[]}')


def wants(document: str) -> UpstreamResult:
    return UpstreamResult(document.encode(), needs_input=True)


class Tool:
    """A tool that answers each round with the next of its answers."""

    def __init__(self, *answers: UpstreamResult) -> None:
        self.answers = list(answers)
        self.rounds: list[Inputs] = []

    async def send(self, inputs: Inputs) -> UpstreamResult:
        self.rounds.append(inputs)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def made(tool: Tool, client: Client, round_: Round | None = None) -> UpstreamResult:
    manifest = ToolManifest("s", "t", Effect.WRITE)
    call = UpstreamCall(manifest, b"{}", 1, round=round_, conversation=client)
    return await in_rounds(call, tool.send, client.ask)


async def test_a_tool_that_knows_enough_is_called_once() -> None:
    """Without inputs, unless the caller brought some."""
    tool = Tool(DONE)
    assert await made(tool, Client(Era.HANDSHAKE)) == DONE
    await made(tool, Client(Era.STATELESS), Round("s", 2, b'{"a":{}}', "x"))
    assert tool.rounds == [Inputs(), Inputs('{"a":{}}', '"x"')]


async def test_a_stateless_client_makes_its_own_rounds() -> None:
    """It gets the wish as the tool wrote it."""
    wish, client = wants('{"requestState":"s"}'), Client(Era.STATELESS)
    assert await made(Tool(wish), client) == wish
    assert client.asked == []


@pytest.mark.parametrize("era", [Era.HANDSHAKE, None])
async def test_answers_and_state_go_back(era: Era | None) -> None:
    """Under their names, in their own text; the state to the letter."""
    asks = (
        '{"inputRequests":{"é":{"method":"elicitation/create","params":{"a":1.0}},'
        '"r":{"method":"roots/list"}},"requestState":"\\u00e9\\"1.0"}'
    )
    tool, client = Tool(wants(asks), DONE), Client(era)
    assert await made(tool, client) == DONE
    assert client.asked == [("elicitation/create", {"a": 1.0}), ("roots/list", {})]
    assert json.loads(tool.rounds[1].responses) == {
        "é": {"action": "accept", "content": {"name": "Ada"}},
        "r": {"roots": []},
    }
    assert tool.rounds[1].state == '"\\u00e9\\"1.0"'


async def test_state_is_not_carried_beyond_its_round() -> None:
    """Only what the last wish brought goes back."""
    asks = '{"inputRequests":{"r":{"method":"roots/list"}}%s}'
    tool = Tool(wants(asks % ',"requestState":"1"'), wants(asks % ""), DONE)
    await made(tool, Client(Era.HANDSHAKE))
    assert [one.state for one in tool.rounds] == ["", '"1"', ""]


async def test_a_tool_that_wants_time_is_called_again() -> None:
    """Nobody is asked for that."""
    tool, client = Tool(wants('{"requestState":"later"}'), DONE), Client(Era.HANDSHAKE)
    assert await made(tool, client) == DONE
    assert (client.asked, tool.rounds[1]) == ([], Inputs("", '"later"'))


async def test_an_elicitation_without_an_answer_is_a_cancelled_one() -> None:
    """The form the protocol has for it."""
    tool = Tool(wants('{"inputRequests":{"e":{"method":"elicitation/create"}}}'), DONE)
    await made(tool, Client(Era.HANDSHAKE, answers={}))
    assert json.loads(tool.rounds[1].responses) == {"e": {"action": "cancel"}}


async def test_any_other_error_of_a_client_ends_the_call() -> None:
    """There is no form in which the tool could be told."""
    tool = Tool(wants('{"inputRequests":{"s":{"method":"sampling/createMessage"}}}'))
    result = await made(tool, Client(Era.HANDSHAKE, answers={}))
    assert (result.is_error, result.is_rpc_error) == (True, True)
    assert json.loads(result.result)["message"] == "refused"
    assert len(tool.rounds) == 1


async def test_a_reply_without_anything_ends_the_call() -> None:
    """Even that is one."""

    class Empty(Client):
        async def ask(self, method: str, params: bytes) -> RpcReply:
            return RpcReply()

    result = await made(
        Tool(wants('{"inputRequests":{"r":{"method":"roots/list"}}}')), Empty(Era.HANDSHAKE)
    )
    assert result.is_rpc_error


async def test_rounds_are_bounded() -> None:
    """A tool that never has enough has not acted."""
    wish = wants('{"inputRequests":{"r":{"method":"roots/list"}}}')
    tool, client = Tool(wish), Client(None)
    with pytest.raises(UpstreamFailed, match="end"):
        await made(tool, client)
    assert (len(tool.rounds), len(client.asked)) == (MAX_ROUNDS + 1, MAX_ROUNDS)
    assert await made(Tool(*[wish] * MAX_ROUNDS, DONE), client) == DONE


MANY: dict[str, Any] = {str(one): {"method": "roots/list"} for one in range(MAX_QUESTIONS + 1)}


@pytest.mark.parametrize(
    "requests", [1, [], "x", {"a": 1}, {"a": {}}, {"a": {"method": 1}}, {"a": []}, MANY]
)
async def test_a_wish_that_cannot_be_read_failed(requests: Any) -> None:
    """It has not acted, and nobody knows what it wants."""
    client = Client(Era.HANDSHAKE)
    with pytest.raises(UpstreamFailed, match="read"):
        await made(Tool(wants(json.dumps({"inputRequests": requests}))), client)
    assert client.asked == []
