"""The tool in a process of its own: what it notes of a call, and which calls it refuses."""

import time

import aiohttp

from tests.harness.arrivals import Arrival, Tool


async def test_it_notes_when_a_call_came_from_whom_and_what_it_refused() -> None:
    """By the clock of this machine; every call is told once. Without keys no token is good."""
    before = time.monotonic()
    async with Tool() as tool, aiohttp.ClientSession() as http:
        for path in ("start", "fenced"):
            async with http.post(f"{tool.url}/{path}", data=b'{"text":"me"}') as answer:
                await answer.read()
        first, second = await tool.news()
        assert before < first.at < second.at < time.monotonic()
        assert first == Arrival(first.at, "/start", "me")
        assert second == Arrival(second.at, "/fenced", "me", "no-keys")
        assert await tool.news() == []


async def test_a_tool_with_keys_verifies_the_token() -> None:
    """Nonsense is refused and says why."""
    async with Tool() as tool, aiohttp.ClientSession() as http:
        await tool.trust({"keys": []})
        headers = {"Authorization": "Bearer nonsense"}
        url = f"{tool.url}/fenced"
        async with http.post(url, data=b'{"text":"me"}', headers=headers) as answer:
            assert (answer.status, await answer.json()) == (401, {"code": "malformed"})
        assert [one.refused for one in await tool.news()] == ["malformed"]
