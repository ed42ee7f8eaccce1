"""What probes are told."""

from typing import Any

import pytest

from proxy.ingress.health import health_app


async def asked(path: str, method: str = "GET", *, ready: bool = True) -> tuple[int, bytes]:
    """Ask the listener; return status and body."""
    sent: list[Any] = []

    async def is_ready() -> bool:
        return ready

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": [(b"host", b"any:1")]}
    await health_app(is_ready)(scope, receive, send)
    assert (b"connection", b"close") in sent[0]["headers"]
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "ready", "status"),
    [
        ("/healthz", True, 200),
        ("/healthz", False, 200),
        ("/readyz", True, 200),
        ("/readyz", False, 503),
    ],
)
async def test_a_probe_gets_a_status_alone(
    path: str, method: str, ready: bool, status: int
) -> None:
    """The process answers whatever its state; calls can be taken or not."""
    assert await asked(path, method, ready=ready) == (status, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/healthz", 405),
        ("GET", "/", 404),
        ("GET", "/metrics", 404),
        ("POST", "/v1/calls", 404),
        ("GET", "/readyz/", 404),
        ("POST", "/killswitch", 404),
    ],
)
async def test_nothing_else_exists(method: str, path: str, status: int) -> None:
    """No other plane can be reached from there."""
    assert await asked(path, method) == (status, b"")


async def test_an_upgrade_is_refused() -> None:
    """There are no sockets of the web."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def never() -> Any:
        raise AssertionError("nothing is asked")

    await health_app(never)({"type": "websocket", "path": "/healthz"}, never, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
