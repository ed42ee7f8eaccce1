"""What happens between a server and the client of a call while the call runs."""

from collections.abc import Mapping
from typing import Any, Protocol

from proxy.model.mcp import Era, RpcReply

NOT_HERE = b'{"code":-32601,"message":"The client of this call does not take requests"}'


class Conversation(Protocol):
    """The client's end of one call.

    `era` is the one the client speaks, None when it speaks no MCP. `session` tells clients apart:
    a server that keeps sessions gives each its own, so that nothing of one reaches another.
    `capabilities` are the client's as declared. `wants_progress`: it sent a progress token.
    `log_level` is the level of log messages it asked for, None when it asked for none.
    """

    era: Era | None
    session: str
    capabilities: Mapping[str, Any]
    wants_progress: bool
    log_level: str | None

    async def tell(self, method: str, params: bytes) -> None:
        """Pass a notification of the server on; `params` is a JSON object in the server's own text.

        In notifications/progress the member `progressToken` is the gateway's: the door puts the
        client's own in its place. Waits while the client is behind, so that the server is read no
        faster than that. What policy or a monitor refuses is raised, and ends the call.
        """
        ...

    async def ask(self, method: str, params: bytes) -> RpcReply:
        """Ask the client what the server asks; policy has its say first.

        A refusal is a reply with an error. Raises CancelledError when the call is cut meanwhile.
        """
        ...

    async def pause(self, retry_s: float) -> None:
        """Let the client go: the server closed the call's stream and is to be asked again.

        The call goes on; a client that can resume its own stream is told to come back after that
        time, and for others nothing changes (MCP 2025-11-25, polling).
        """
        ...


class Silence:
    """The client of a plain door: it hears nothing and answers nothing."""

    era: Era | None = None
    capabilities: Mapping[str, Any] = {}
    wants_progress = False
    log_level: str | None = None

    def __init__(self, session: str = "") -> None:
        self.session = session

    async def tell(self, method: str, params: bytes) -> None:
        """Drop it."""

    async def ask(self, method: str, params: bytes) -> RpcReply:
        """Refuse."""
        del method, params
        return RpcReply(error=NOT_HERE)

    async def pause(self, retry_s: float) -> None:
        """Change nothing."""
