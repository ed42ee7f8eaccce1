"""Both ports in one event loop: agents and operators, each with its own uvicorn server."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import uvicorn

from proxy.app.secrets import Tls
from proxy.config.settings import Address
from proxy.errors import ConfigError
from proxy.ingress.handshakes import TlsListener
from proxy.ingress.protocol import DEFAULT_LIMITS, ConnectionLimits, GuardedProtocol

KEEP_ALIVE_S = 75
BACKLOG = 2048
CLOSE_S = 2

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
    """One port: the app it serves, its bound socket, its TLS files if it has them, its bounds."""

    app: ASGIApp
    socket: socket.socket
    tls: Tls | None = None
    limits: ConnectionLimits = DEFAULT_LIMITS

    @property
    def address(self) -> str:
        """`host:port` as bound."""
        return authority(*self.socket.getsockname()[:2])

    @property
    def url(self) -> str:
        """The address with its scheme."""
        return f"{'https' if self.tls else 'http'}://{self.address}"


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal: there are two servers and one process."""
        yield


class TlsServer(QuietServer):
    """Such a server that bounds handshakes too."""

    def __init__(self, config: uvicorn.Config, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self._limits = limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept on sockets that are bound."""
        await self.lifespan.startup()
        context = cast("ssl.SSLContext", self.config.ssl)
        state = self.server_state
        protocol = partial(
            cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class),
            config=self.config,
            server_state=state,
            app_state=self.lifespan.state,
        )
        listeners = [
            TlsListener(bound, context, protocol, self._limits, lambda: len(state.connections))
            for bound in sockets or []
        ]
        for listener in listeners:
            listener.start(self.config.backlog)
        # All that a server is asked for here is `close` and `wait_closed`.
        self.servers = cast("list[asyncio.base_events.Server]", listeners)
        self.started = True


class Servers:
    """Serves until told to stop."""

    def __init__(self, ports: tuple[Port, ...]) -> None:
        self._ports = ports
        self._servers = [_server(port) for port in ports]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def addresses(self) -> tuple[str, ...]:
        """`host:port` of each port, as bound."""
        return tuple(port.address for port in self._ports)

    @property
    def urls(self) -> tuple[str, ...]:
        """Where each port is served."""
        return tuple(port.url for port in self._ports)

    async def start(self) -> None:
        """Begin to accept. When one port cannot, none does."""
        pairs = zip(self._servers, self._ports, strict=True)
        self._tasks = [
            asyncio.create_task(server.serve(sockets=[port.socket])) for server, port in pairs
        ]
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._end, return_exceptions=True)
            while not all(server.started for server in self._servers):
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.005)
            undo.pop_all()

    async def stop(self) -> None:
        """Stop accepting, give answers under way two seconds to leave, close."""
        await self._end(return_exceptions=False)

    def close(self) -> None:
        """Let go of the addresses, also of those that were never served."""
        for port in self._ports:
            port.socket.close()

    async def _end(self, *, return_exceptions: bool) -> None:
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._tasks, return_exceptions=return_exceptions)


def authority(host: str, port: int) -> str:
    """Return `host:port` as a URL has it (RFC 3986 section 3.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(address: Address) -> socket.socket:
    """Bind a listening address; port 0 takes a free one.

    Raises ConfigError, whose cause is the OSError.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address.host, address.port))
    except OSError as error:
        sock.close()
        where = authority(address.host, address.port)
        cure = f"{error.strerror}; stop what listens there or change `listen`"
        raise ConfigError((f"cannot listen on {where}: {cure}",)) from error
    return sock


def _server(port: Port) -> QuietServer:
    return TlsServer(_config(port), port.limits) if port.tls else QuietServer(_config(port))


def _config(port: Port) -> uvicorn.Config:
    return uvicorn.Config(
        port.app,
        http=cast("type[asyncio.Protocol]", partial(GuardedProtocol, limits=port.limits)),
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=CLOSE_S,
        ssl_certfile=port.tls.cert if port.tls else None,
        ssl_keyfile=port.tls.key if port.tls else None,
    )
