"""A62 at the door: what an agent sends to us and to nobody else, and what a tool sets."""

import pytest

from tests.harness.rest import SENT, Rest

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN = [
    b"Cookie: session=agent",
    b"Proxy-Authorization: Basic YTpi",
    b"User-Agent: agent/1.0",
    b"Referer: https://agent.test/?q=secret",
    b"Accept: application/xml",
    b"Accept-Language: de-AT",
    b"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"Idempotency-Key: k-of-the-agent",
    b"X-Anything: at-all",
    b"Range: bytes=0-99",
    b"If-None-Match: of-the-agent",
]


async def test_nothing_of_the_request_but_its_arguments_goes_out(rest: Rest) -> None:
    """Not the token, not a cookie, not the agent's own name."""
    heard = await rest.put(*OWN)
    assert heard.status == 200
    assert rest.names == SENT
    assert rest.received.headers["User-Agent"] == "detent"
    sent = repr(rest.received)
    assert rest.gateway.world.agent_token not in sent
    assert not any(said.partition(b": ")[2].decode() in sent for said in OWN)


async def test_a_token_in_another_place_is_refused(rest: Rest) -> None:
    """In the query it is refused unseen, and never written down."""
    token = rest.gateway.world.other_token.encode()
    heard = await rest.ask(b"/search?q=" + token)
    assert (heard.status, heard.code, rest.recorder.received) == (400, "token-in-query", [])
    assert token.decode() not in rest.gateway.text


async def test_a_body_that_names_a_path_argument_does_not_replace_it(rest: Rest) -> None:
    """The member `id` of the body is another argument than the `id` of the path."""
    heard = await rest.put(body=b'{"id":"8","text":"t"}')
    assert heard.status == 200
    assert (rest.received.path, rest.received.body) == (
        "/users/bob/notes/7",
        b'{"id":"8","text":"t"}',
    )
    heard = await rest.put(body=b'{"user":"eve"}')
    assert (heard.status, heard.code) == (400, "unknown-member")


async def test_the_agents_session_is_not_the_services(rest: Rest) -> None:
    """A token of ours opens no other agent's door, and none without one."""
    for token in ("dta_" + "A" * 43, "stolen", rest.gateway.world.operator_token):
        assert (await rest.ask(b"/users/bob", token=token)).status == 401
    assert rest.recorder.received == []
