"""The few words of MCP that travel between the doors and the servers."""

from dataclasses import dataclass
from enum import StrEnum


class Era(StrEnum):
    """The two ways of speaking MCP: 2025-11-25 and before, 2026-07-28."""

    HANDSHAKE = "handshake"
    STATELESS = "stateless"


@dataclass(frozen=True, slots=True)
class RpcReply:
    """What answers a request: JSON text of exactly one of a result and a JSON-RPC error object."""

    result: bytes | None = None
    error: bytes | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """What a server says outside of calls; `params` is a JSON object."""

    method: str
    params: bytes
