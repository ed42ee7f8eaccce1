"""A client that speaks no MCP hears nothing and answers nothing."""

from proxy.upstream.conversation import NOT_HERE, Silence


async def test_silence_refuses_what_a_server_asks() -> None:
    """A request to a client that cannot be asked is answered with an error at once."""
    reply = await Silence().ask("roots/list", b"{}")
    assert (reply.result, reply.error) == (None, NOT_HERE)
