"""Any application behind the ports' own protocol, on a free port of this machine."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from proxy.ingress.protocol import DEFAULT_LIMITS, ConnectionLimits, GuardedProtocol


@asynccontextmanager
async def served(
    app_of: Callable[[int], ASGIApp], limits: ConnectionLimits = DEFAULT_LIMITS
) -> AsyncIterator[int]:
    """Serve what is made for a free port with uvicorn's protocol, in the test's loop.

    Without uvicorn's server around it, which looks only every 100 ms whether it has to stop.
    """
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        config = uvicorn.Config(
            app_of(port), ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False,
        )  # fmt: skip
        config.load()
        state = ServerState()
        protocol = partial(
            GuardedProtocol, limits=limits, config=config, server_state=state, app_state={}
        )
        server = await asyncio.get_running_loop().create_server(protocol, sock=sock)
        try:
            yield port
        finally:
            server.close()
            for connection in list(state.connections):
                connection.shutdown()
            tasks = list(state.tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
