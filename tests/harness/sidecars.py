"""A gateway that sidecars attach to, and sidecars as processes."""

import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.model.token import TokenKind, new_token, token_sha256
from tests.harness.gateway import Gateway
from tests.harness.world import World

TOKEN = "SIDECAR_TOKEN"


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Attachable:
    """A gateway with an attach port, and what a sidecar of agent acme/tester needs."""

    world: World
    port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: new_token(TokenKind.SIDECAR))

    def __post_init__(self) -> None:
        sidecar = {"name": "pod-1", "agents": ["acme/tester"]}
        listen = {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0"}
        self.world.settings |= {
            "listen": listen | {"attach": f"127.0.0.1:{self.port}"},
            "attach": {"sidecars": [sidecar | {"token_sha256": token_sha256(self.token)}]},
        }

    @property
    def url(self) -> str:
        """Where sidecars attach."""
        return f"http://127.0.0.1:{self.port}"

    def sidecar(self, directory: Path, **settings: Any) -> "Sidecar":
        """Return a sidecar, not started, with settings and a policy of its own that it ignores."""
        directory.mkdir()
        world = World(directory, self.world.recorder_url, agent_token=self.world.agent_token)
        world.roles = {}
        world.tools = {}
        world.settings = {"attach": {"token": {"env": TOKEN}}} | settings
        world.environ = {TOKEN: self.token}
        return Sidecar(world, self.url)


class Sidecar(Gateway):
    """The process next to an agent."""

    def __init__(self, world: World, gateway: str) -> None:
        super().__init__(world)
        self._gateway = gateway

    def command(self) -> tuple[list[str], dict[str, str]]:
        """As for a gateway, and where to attach."""
        arguments, environ = super().command()
        return [*arguments, "--attach", self._gateway], environ
