"""The client's end of a conversation, as a test sees it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.model.mcp import Era, RpcReply

ABLE: Mapping[str, Any] = {"sampling": {}, "elicitation": {"form": {}}, "roots": {}}
ANSWERS = {
    "sampling/createMessage": (
        b'{"role":"assistant","model":"m","content":{"type":"text","text":"I"}}'
    ),
    "elicitation/create": b'{"action":"accept","content":{"name":"Ada"}}',
    "roots/list": b'{"roots":[]}',
}


@dataclass
class Client:
    """The client's end of a conversation: keeps what it is told, answers what it is asked."""

    era: Era | None
    session: str = "one"
    capabilities: Mapping[str, Any] = field(default_factory=lambda: ABLE)
    wants_progress: bool = True
    log_level: str | None = None
    answers: Mapping[str, bytes] = field(default_factory=lambda: ANSWERS)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    thinks_s: float = 0.0
    slow_s: float = 0.0

    async def tell(self, method: str, params: bytes) -> None:
        """Keep what is told, after a while."""
        await asyncio.sleep(self.slow_s)
        self.told.append((method, json.loads(params)))

    async def ask(self, method: str, params: bytes) -> RpcReply:
        """Answer as the answers say, after a while."""
        self.asked.append((method, json.loads(params)))
        await asyncio.sleep(self.thinks_s)
        answer = self.answers.get(method)
        refused = b'{"code":-1,"message":"refused"}'
        return RpcReply(error=refused) if answer is None else RpcReply(result=answer)

    async def pause(self, retry_s: float) -> None:
        """Keep after what time it is to come back."""
        self.pauses.append(retry_s)

    def heard(self, method: str) -> list[dict[str, Any]]:
        """Return the params of what was told."""
        return [params for one, params in self.told if one == method]
