"""A28: a token in the query string, where logs, histories and referrers keep it."""

import pytest

from tests.harness.agents_port import AgentsPort, code_of
from tests.harness.doors import TOKEN

CALL = b'{"server":"rec","tool":"write","arguments":{}}'
QUERIES = [
    "token={}",
    "access_token={}",
    "ACCESS_TOKEN={}",
    "api_key={}",
    "key={}",
    "authorization=Bearer%20{}",
    "%74oken={}",
    "a=1&b=2;session-token={}",
    "next=/x%3Fq%3D{}",
    "{}",
]
PATHS = ["/v1/calls", "/mcp", "/mcp/rec", "/v1/sessions"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", QUERIES)
async def test_a_token_in_the_query_is_refused_and_never_logged(
    agents_port: AgentsPort, caplog: pytest.LogCaptureFixture, path: str, query: str
) -> None:
    """400 although the header has a valid token too; the pipeline receives nothing."""
    caplog.set_level("DEBUG")
    status, answer = await agents_port.ask("POST", f"{path}?{query.format(TOKEN)}", CALL)
    assert (status, code_of(answer)) == (400, "token-in-query")
    assert (agents_port.gate.calls, agents_port.gate.opened) == ([], [])
    assert TOKEN not in caplog.text
    assert TOKEN not in str(answer)


@pytest.mark.parametrize("path", PATHS)
async def test_a_query_never_stands_in_for_the_header(agents_port: AgentsPort, path: str) -> None:
    """Under a name that is not on the list, and no header: still nobody."""
    url = f"{agents_port.url}{path}?t={TOKEN[4:20]}"
    headers = {"Content-Type": "application/json", "Authorization": ""}
    async with agents_port.client.post(url, data=CALL, headers=headers) as got:
        assert got.status == 401
    assert agents_port.gate.calls == []
