"""What happens between a server and the client of a call while the call runs."""

import asyncio
import json

import pytest

from proxy.errors import UpstreamFailed
from proxy.model.mcp import Era
from tests.harness.client import Client
from tests.harness.talker import Talker

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_progress_comes_step_by_step(talker: Talker, client: Client) -> None:
    """In order, to who asked for it; to nobody else."""
    assert await talker.text("progress", client, steps=300) == "done"
    steps = [one["progress"] for one in client.heard("notifications/progress")]
    assert steps == list(range(300))
    deaf = Client(client.era, wants_progress=False)
    await talker.text("progress", deaf, steps=3)
    assert deaf.told == []


async def test_many_calls_each_hear_their_own_progress(talker: Talker) -> None:
    """Fifty at once do not get mixed up."""
    clients = [Client(Era.HANDSHAKE, f"s{number}") for number in range(50)]
    await asyncio.gather(
        *(talker.text("progress", one, steps=number) for number, one in enumerate(clients))
    )
    for number, one in enumerate(clients):
        heard = [told["progress"] for told in one.heard("notifications/progress")]
        assert heard == list(range(number))
    assert len({json.dumps(one.told[:1]) for one in clients[1:]}) == 49


async def test_log_messages_come_as_they_are_asked_for(talker: Talker) -> None:
    """At the level a stateless client names, and never to one that names none."""
    wants, wants_none = Client(Era.STATELESS, log_level="error"), Client(Era.STATELESS)
    await talker.text("chat", wants)
    await talker.text("chat", wants_none)
    assert [one["level"] for one in wants.heard("notifications/message")] == ["error"]
    assert wants_none.told == []


async def test_a_session_sets_its_level(talker: Talker) -> None:
    """A client of the handshake era sets it once; the door tells a stateless server with each."""
    client = Client(Era.HANDSHAKE, "levelled")
    set_level = await talker.call("logging/setLevel", client, level="error")
    assert json.loads(set_level.result).keys() <= {"_meta", "resultType"}
    client.log_level = "error"
    await talker.text("chat", client)
    assert {one["level"] for one in client.heard("notifications/message")} == {"error"}
    assert bool(talker.seen("error")) == (Era.HANDSHAKE in talker.eras)
    await talker.call("logging/setLevel", client, level="debug")


async def test_a_client_is_asked_for_input(talker: Talker) -> None:
    """Bridged where server and client are of different eras; the same call all the while."""
    client = Client(Era.HANDSHAKE)
    assert await talker.text("elicit", client) == "hello Ada"
    ((method, params),) = client.asked
    assert (method, params["message"]) == ("elicitation/create", "Who?")


async def test_a_client_that_declines_is_a_client_that_answered(talker: Talker) -> None:
    """What it says goes to the tool as it is; an error as an elicitation without an answer."""
    declines = {"elicitation/create": b'{"action":"decline"}'}
    client = Client(Era.HANDSHAKE, answers=declines)
    assert await talker.text("elicit", client) == "decline"
    refuses = await talker.call("elicit", Client(Era.HANDSHAKE, answers={}))
    if Era.HANDSHAKE in talker.eras:
        assert refuses.is_error
    else:
        assert b"cancel" in refuses.result


async def test_a_clients_model_is_asked(talker: Talker) -> None:
    """Sampling, with the params as the server wrote them."""
    client = Client(Era.HANDSHAKE)
    assert await talker.text("sample", client, text="speak") == "I"
    assert client.asked[0][1]["messages"][0]["content"]["text"] == "speak"


async def test_an_error_of_a_client_is_the_servers_to_read(talker: Talker) -> None:
    """A refused model: an error of the call, in the words of the client."""
    result = await talker.call("sample", Client(Era.HANDSHAKE, answers={}), text="speak")
    assert result.is_error
    assert b"refused" in result.result


async def test_a_stateless_client_is_given_the_wish(talker: Talker) -> None:
    """Where both need no session, the rounds are the client's own."""
    client = Client(Era.STATELESS)
    result = await talker.call("elicit", client)
    assert result.needs_input == (Era.STATELESS in talker.eras)
    assert bool(client.asked) != result.needs_input


async def test_who_cannot_be_asked_is_not_asked(talker: Talker) -> None:
    """What a client is able to do is what the server is told."""
    client = Client(Era.HANDSHAKE, capabilities={"elicitation": {"form": {}}})
    shown = json.loads((await talker.call("capabilities", client)).result)["structuredContent"]
    expected = {"sampling", "elicitation"} if talker.is_shared else {"elicitation"}
    assert shown.keys() == expected


async def test_what_names_no_call_is_for_the_session_that_has_one(talker: Talker) -> None:
    """A request beside the stream of its call reaches the client all the same."""
    if talker.eras == (Era.STATELESS,):
        pytest.skip("a stateless server has no requests")
    client = Client(Era.HANDSHAKE, "outside")
    assert await talker.text("sample", client, text="beside", outside=True) == "I"


async def test_what_names_no_call_reaches_nobody_when_several_could_be_meant(
    talker: Talker,
) -> None:
    """One process for all: while two sessions call, neither is asked for the other (I20)."""
    if not talker.is_shared:
        pytest.skip("this server keeps sessions apart, or has no requests")
    one, two = Client(Era.HANDSHAKE, "one"), Client(Era.HANDSHAKE, "two")
    waiting = asyncio.create_task(talker.call("hang", two, text="other"))
    await talker.until("other", "began")
    result = await talker.call("sample", one, text="mine")
    waiting.cancel()
    assert result.is_error
    assert (one.asked, two.asked) == ([], [])


async def test_a_tool_that_never_has_enough_is_given_up(talker: Talker) -> None:
    """Ten rounds, or a hundred questions within the call."""
    client = Client(Era.HANDSHAKE, "insisted")
    if talker.eras == (Era.STATELESS,):
        with pytest.raises(UpstreamFailed, match="without end"):
            await talker.call("insist", client)
        assert len(client.asked) == 10
    else:
        assert (await talker.call("insist", client)).is_error
        assert len(client.asked) == 100 if not talker.is_shared else len(client.asked) <= 100
