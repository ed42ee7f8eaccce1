"""Both ports in one event loop: agents and operators, each with its own uvicorn server."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from proxy.errors import ConfigError
from proxy.ingress.protocol import GuardedProtocol

KEEP_ALIVE_S = 75
BACKLOG = 2048

ASGIApp = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


@dataclass(frozen=True, slots=True)
class Port:
    """One port: the app it serves, its bound socket, and its TLS files if it has them."""

    app: ASGIApp
    socket: socket.socket
    tls_cert: Path | None = None
    tls_key: Path | None = None

    @property
    def address(self) -> str:
        """`host:port` as bound."""
        name = self.socket.getsockname()
        return f"{name[0]}:{name[1]}"


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal: there are two servers and one process."""
        yield


class Servers:
    """Serves until told to stop."""

    def __init__(self, ports: tuple[Port, ...], drain_s: float) -> None:
        self._ports = ports
        self._servers = [QuietServer(_config(port, drain_s)) for port in ports]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def addresses(self) -> tuple[str, ...]:
        """`host:port` of each port, as bound."""
        return tuple(port.address for port in self._ports)

    async def start(self) -> None:
        """Begin to accept."""
        pairs = zip(self._servers, self._ports, strict=True)
        self._tasks = [
            asyncio.create_task(server.serve(sockets=[port.socket])) for server, port in pairs
        ]
        while not all(server.started for server in self._servers):
            ended = [task for task in self._tasks if task.done()]
            for task in ended:
                task.result()
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stop accepting, let requests under way end (bounded by the drain), close."""
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._tasks)


def bind(host: str, port: int) -> socket.socket:
    """Bind a listening address; port 0 takes a free one. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        cure = f"{error.strerror}; stop what listens there or change `listen`"
        raise ConfigError((f"cannot listen on {host}:{port}: {cure}",)) from None
    return sock


def _config(port: Port, drain_s: float) -> uvicorn.Config:
    return uvicorn.Config(
        port.app,
        http=GuardedProtocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(drain_s)),
        ssl_certfile=port.tls_cert,
        ssl_keyfile=port.tls_key,
    )
