import asyncio

import pytest

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.errors import Refused, StoreRejected, StoreUnavailable
from proxy.stores.remote.gateway import Gateway, answered

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"


async def test_a_request_carries_the_token_and_its_answer_comes_back() -> None:
    """POST and GET, below the port's own path."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            heard.append(head)
            if head.startswith(b"POST"):
                await reader.readexactly(2)
            writer.write(ANSWER)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    gateway = Gateway(
        EgressClient(url, AddressPolicy(allow_private=True)), url + "/", lambda: "dtx_1"
    )
    assert await gateway.post("store/view", b"[]") == b"true"
    assert await gateway.post("kills", b"[]", 5.0) == b"true"
    assert heard[0].startswith(b"POST /attach/v1/store/view HTTP/1.1")
    assert heard[1].startswith(b"POST /attach/v1/kills HTTP/1.1")
    assert all(b"Authorization: Bearer dtx_1\r\n" in head for head in heard)
    await gateway.close()
    server.close()
    with pytest.raises(StoreUnavailable, match="cannot be asked"):
        await gateway.post("store/view", b"[]")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"code":"killed"}', b"\xff"])
def test_any_other_answer_is_no_answer(body: bytes) -> None:
    """Whatever it says."""
    with pytest.raises(StoreUnavailable, match="refused: 503"):
        answered(503, body)


@pytest.mark.parametrize("code", ["agent-locked", "too-many-sessions"])
def test_the_ledgers_own_refusals_come_through(code: str) -> None:
    """Those that the port names."""
    with pytest.raises(Refused, match=code):
        answered(403, b'{"code":"%b"}' % code.encode())


@pytest.mark.parametrize(
    ("answer", "known", "expected"),
    [
        (b'200 OK\r\nETag: "sha256:2"\r\nContent-Length: 3\r\n\r\nabc', "", ("sha256:2", b"abc")),
        (b"304 Not Modified\r\nContent-Length: 0\r\n\r\n", "sha256:1", ("sha256:1", b"")),
    ],
    ids=["new", "known"],
)
async def test_a_policy_comes_with_its_revision(
    answer: bytes, known: str, expected: tuple[str, bytes]
) -> None:
    """One that is known is not sent again."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 " + answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    gateway = Gateway(EgressClient(url, AddressPolicy(allow_private=True)), url, lambda: "dtx_1")
    assert await gateway.bundle(known, 5.0) == expected
    assert (b'If-None-Match: "sha256:1"' in heard[0]) is bool(known)
    await gateway.close()
    server.close()


@pytest.mark.parametrize(("status", "is_for_good"), [(400, True), (422, True), (404, False)])
def test_what_is_wrong_in_itself_is_told_apart(status: int, *, is_for_good: bool) -> None:
    """A gateway that is elsewhere, or of another version for a while, may take it later."""
    with pytest.raises(StoreUnavailable) as refused:
        answered(status, b'{"code":"malformed"}')
    assert isinstance(refused.value, StoreRejected) is is_for_good
