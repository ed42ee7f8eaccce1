"""A18: a Host that routes elsewhere: twice, with a path in it, with userinfo, in the target."""

import pytest

from tests.harness.raw import authority_of
from tests.harness.standing import PORTS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

IN_PLACE = [
    (b"Host: x/public?", 400),
    (b"Host: a#", 400),
    (b"Host: admin@%b", 400),
    (b"Host: %b@evil.test", 400),
    (b"Host: %b/healthz", 400),
    (b"Host: %b, evil.test", 400),
    (b"Host: %b\\@evil.test", 400),
    (b"Host: %%6cocalhost", 400),
    (b"Host:", 400),
    (b"Host: evil.test", 421),
    (b"Host: localhost", 421),
    (b"Host: localhost.", 421),
    (b"Host: 127.1:80", 421),
    (b"Host: 169.254.169.254", 421),
    (b"Host: 0.0.0.0:8787", 421),
]
BESIDE = [b"Host: evil.test", b"Host: %b", b"host: %b", b"Host:"]
TARGETS = [
    b"http://%b%b",
    b"http://evil.test%b%b",
    b"https://admin@evil.test%b%b",
    b"//evil.test%b%b",
    b"///%b%b",
    b"*%b%b",
]


def named(standing: Standing, port: str) -> bytes:
    return authority_of(standing.url(port)).encode()


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize(("field", "status"), IN_PLACE)
async def test_a_host_that_is_not_ours_reaches_nothing(
    standing: Standing, port: str, field: bytes, status: int
) -> None:
    """Odd ones are refused, plain foreign ones misdirected; then the connection is closed."""
    field = field.replace(b"%b", named(standing, port)).replace(b"%%", b"%")
    heard = await standing.attack(port, field, without=[b"host"])
    assert (heard.status, heard.closed) == (status, True)
    assert await standing.nothing_happened()


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("field", BESIDE)
async def test_a_second_host_reaches_nothing(standing: Standing, port: str, field: bytes) -> None:
    """Even the same one again."""
    heard = await standing.attack(port, field.replace(b"%b", named(standing, port)))
    assert (heard.status, heard.closed) == (400, True)
    assert await standing.nothing_happened()


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("target", TARGETS)
async def test_a_target_with_a_host_of_its_own_reaches_nothing(
    standing: Standing, port: str, target: bytes
) -> None:
    """Absolute form is for proxies; two readers would take two different hosts."""
    path = b"/v1/calls" if port == "agents" else b"/killswitch"
    host = named(standing, port) if target.count(b"%b") == 2 else b""
    line = b"POST %b HTTP/1.1" % (target % (host, path) if host else target % path)
    heard = await standing.attack(port, line=line)
    assert (heard.status, heard.closed) == (400, True)
    assert await standing.nothing_happened()


async def test_the_ports_do_not_serve_each_others_paths(standing: Standing) -> None:
    """Operators' paths are not behind the agents' port under any Host."""
    operators = b"Host: " + named(standing, "operators")
    for fields, without, status in (((), (), 404), ((operators,), (b"host",), 421)):
        line = b"POST /killswitch HTTP/1.1"
        heard = await standing.attack("agents", *fields, line=line, without=without)
        assert heard.status == status
    assert await standing.nothing_happened()
