"""The scripted agent and the operator, as small HTTP clients."""

from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from examples.demo.world import World


class Client:
    """Both ports of the demo's gateway."""

    def __init__(self, world: World) -> None:
        listen = yaml.safe_load(world.settings_file.read_text())["listen"]
        self.agents = f"http://{listen['agents']}"
        self.operators = f"http://{listen['operators']}"
        self._world = world
        self._http = httpx.AsyncClient(timeout=60, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def call(self, tool: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Call `server/tool` as the agent; return the outcome document."""
        token = more.pop("token", self._world.agent_token)
        server, _, name = tool.partition("/")
        body = {"server": server, "tool": name, "arguments": arguments} | more
        return await self._ask("POST", f"{self.agents}/v1/calls", token, body)

    async def session(self, **asked: Any) -> dict[str, Any]:
        """Open a session as the agent."""
        return await self._ask("POST", f"{self.agents}/v1/sessions", self._world.agent_token, asked)

    async def operate(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask the operators' port."""
        return await self._ask(method, self.operators + path, self._world.operator_token, body)

    async def _ask(self, method: str, url: str, token: str, body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self._http.request(method, url, json=body, headers=headers)
        document: dict[str, Any] = answer.json()
        return document | {"http": answer.status_code}
