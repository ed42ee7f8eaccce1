import pytest
from starlette.types import Message, Receive, Scope, Send

from proxy.ingress.request_ids import RequestIds

PATH = "/access/v1/evaluation"
ID = (b"x-request-id", b"r-1")


async def answered(path: str, *headers: tuple[bytes, bytes], kind: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": kind, "path": path, "headers": list(headers)}
    await RequestIds(app)(scope, receive, send)
    return sent


async def test_the_id_of_a_request_is_on_its_answer() -> None:
    """Beside what is there; the body is left alone."""
    start, body = await answered(PATH, ID, (b"host", b"x"))
    assert start["headers"] == [(b"a", b"b"), ID]
    assert body == {"type": "http.response.body", "body": b"{}"}


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (ID, ID),
        ((b"x-request-id", b""),),
        ((b"x-request-id", b"x" * 257),),
        ((b"x-request-id", b"a\tb"),),
        ((b"x-request-id", b"\xc3\xa9"),),
    ],
)
async def test_an_odd_id_is_not_repeated(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """Nobody writes lines or pages into our answers."""
    assert (await answered(PATH, *headers))[0]["headers"] == [(b"a", b"b")]


@pytest.mark.parametrize(("path", "kind"), [("/killswitch", "http"), (PATH, "websocket")])
async def test_other_requests_are_left_alone(path: str, kind: str) -> None:
    """The id is AuthZEN's."""
    assert (await answered(path, ID, kind=kind))[0]["headers"] == [(b"a", b"b")]
