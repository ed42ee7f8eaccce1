"""A56: a URL argument that means another host to the tool than to the policy."""

from collections.abc import Callable

import pytest

from tests.harness.standing import Standing
from tests.harness.world import TEXT, World, http_tool

pytestmark = pytest.mark.asyncio(loop_scope="module")

NETWORK = "8.8.8.0/24"
CLOSED = {"type": "object", "additionalProperties": False, "properties": {"url": TEXT}}
ALLOWED = [
    ("by_name", "https://api.example.com/v1"),
    ("by_name", "https://API.example.com"),
    ("by_name", "https://api.example.com:8443/v1"),
    ("by_address", "http://8.8.8.8/x"),
]
ELSEWHERE = [
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://2130706433/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://100.64.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://localhost./",
    "http://localhost",
    "http://0/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:70/",
    "//127.0.0.1/",
]
DISGUISED = [
    "https://api.example.com@127.0.0.1/",
    "https://api.example.com\\@127.0.0.1/",
    "https://api.example.com:443@127.0.0.1/",
    "https://127.0.0.1\\@api.example.com/",
    "https://127.0.0.1#@api.example.com/",
    "https://127.0.0.1?@api.example.com/",
    "https://api.example.com%2f@127.0.0.1/",
    "https://api.example.com%00.evil.test/",
    "https://api.example.com.evil.test/",
    "https://evil.test/https://api.example.com/",
    "https://api.example.com\t.evil.test/",
    "https://\tevil.test/api.example.com",
    "https:\\\\evil.test/",
    "https:evil.test/",
    "https:///evil.test/",
    "https://api\u3002example.com.evil.test/",
    "https://\u0430pi.example.com/",
    "https://api.example.com\u200b/",
    " https://evil.test/",
    "http://8.8.8.8.evil.test/",
    "http://8.8.8.8@127.0.0.1/",
    "http://134744072/",
]


@pytest.fixture(scope="module")
def shape() -> Callable[[World], None]:
    """Two tools that fetch, from one name and from one network only."""

    def fetching(world: World) -> None:
        bounds = {"by_name": {"host_in": ["api.example.com"]}, "by_address": {"cidr_in": [NETWORK]}}
        for tool, bound in bounds.items():
            world.tools["rec"][tool] = http_tool(
                "POST",
                f"/{tool}",
                "read",
                body=["url"],
                input_schema=CLOSED,
                constraints=[{"argument": "url", **bound}],
            )

    return fetching


async def fetched(standing: Standing, tool: str, url: str) -> tuple[int, list[str]]:
    """Call the tool; return status and reasons."""
    status, answer = await standing.gateway.call(tool, {"url": url})
    return status, [reason["id"] for reason in answer["reasons"]]


@pytest.mark.parametrize(("tool", "url"), ALLOWED)
async def test_what_is_allowed_is_sent_as_it_was_decided(
    standing: Standing, tool: str, url: str
) -> None:
    """Byte for byte the argument the policy has read."""
    assert (await fetched(standing, tool, url))[0] == 200
    assert standing.recorder.bodies() == [{"url": url}]


@pytest.mark.parametrize("tool", ["by_name", "by_address"])
@pytest.mark.parametrize("url", ELSEWHERE + DISGUISED, ids=ascii)
async def test_what_two_readers_could_take_for_different_hosts_is_refused(
    standing: Standing, tool: str, url: str
) -> None:
    """403, and the tool receives 0 bytes."""
    status, reasons = await fetched(standing, tool, url)
    assert (status, reasons) == (403, ["host-not-allowed"])
    assert standing.recorder.received == []
