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
from proxy.ingress.cover import Cover
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


Sockets = tuple[socket.socket, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """One port: the app it serves, its bound socket, its TLS files if it has them, its bounds.

    `covered` are the sockets of other workers.
    """

    app: ASGIApp
    socket: socket.socket
    tls: Tls | None = None
    limits: ConnectionLimits = DEFAULT_LIMITS
    covered: Sockets = ()

    @property
    def address(self) -> str:
        """`host:port` as bound."""
        return authority(*self.socket.getsockname()[:2])

    @property
    def url(self) -> str:
        """The address with its scheme."""
        return f"{'https' if self.tls else 'http'}://{self.address}"


class QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signals to us, and looks after the sockets of other workers."""

    def __init__(self, config: uvicorn.Config, covered: Sockets = ()) -> None:
        super().__init__(config)
        self._covered = covered
        self._covers: list[Cover] = []
        self._taking: set[asyncio.Task[Any]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal: there are two servers and one process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept on sockets that are bound."""
        await super().startup(sockets)
        self.cover(self._take)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and close what is open."""
        self.leave_covered()
        await super().shutdown(sockets)

    def cover(self, take: Callable[[socket.socket], None]) -> None:
        """Begin to look after the sockets of others."""
        self._covers = [Cover(one, take) for one in self._covered]
        for cover in self._covers:
            cover.start()

    def leave_covered(self) -> None:
        """Leave them to the others."""
        for cover in self._covers:
            cover.close()
        self._covers = []

    def protocol(self) -> Callable[[], asyncio.Protocol]:
        """Return what makes a connection of this server."""
        return partial(
            cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    def _take(self, accepted: socket.socket) -> None:
        """Serve a connection that was accepted elsewhere."""
        task = asyncio.create_task(self._connect(accepted))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _connect(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has gone again
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(self.protocol(), accepted)


class TlsServer(QuietServer):
    """Such a server that bounds handshakes too."""

    def __init__(self, config: uvicorn.Config, port: Port) -> None:
        super().__init__(config, port.covered)
        self._limits = port.limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept on sockets that are bound."""
        await self.lifespan.startup()
        context = cast("ssl.SSLContext", self.config.ssl)
        state, limits = self.server_state, self._limits
        listeners = [
            TlsListener(bound, context, self.protocol(), limits, lambda: len(state.connections))
            for bound in sockets or []
        ]
        for listener in listeners:
            listener.start(self.config.backlog)
        # All that a server is asked for here is `close` and `wait_closed`.
        self.servers = cast("list[asyncio.base_events.Server]", listeners)
        self.started = True
        self.cover(listeners[0].take)


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

    def leave_covered(self) -> None:
        """Leave to other workers what was meant for them."""
        for server in self._servers:
            server.leave_covered()

    def close(self) -> None:
        """Let go of the addresses, also of those that were never served."""
        for port in self._ports:
            for one in (port.socket, *port.covered):
                one.close()

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
    config = _config(port)
    return TlsServer(config, port) if port.tls else QuietServer(config, port.covered)


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
