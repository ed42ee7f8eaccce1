"""The unit is the socket's own protocol, so these tests open one."""

import pytest

from tests.harness.agents_port import AgentsPort, serve
from tests.harness.doors import TOKEN, RecordingGate


async def status_of(port: AgentsPort, target: str) -> int:
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: 127.0.0.1:{port.port}",
        f"Authorization: Bearer {TOKEN}",
        "Connection: close",
    ]
    answer = await port.raw("\r\n".join([*lines, "", ""]).encode())
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/healthz", 200),
        ("/healthz?verbose=1", 200),
        ("http://127.0.0.1/healthz", 400),
        ("http://evil.test/healthz", 400),
        ("/healthz#x", 400),
    ],
)
async def test_the_guard_sees_the_target_as_it_was_sent(target: str, status: int) -> None:
    """Without it, absolute-form and fragments would look like plain paths."""
    async with serve(RecordingGate()) as port:
        assert await status_of(port, target) == status
