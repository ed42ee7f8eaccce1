"""A gateway's attach port over a real ledger, and sidecars that ask it without a network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx

from proxy.errors import StoreUnavailable
from proxy.ingress.attach import AttachPorts, attach_app
from proxy.ingress.guard import GuardSettings
from proxy.killswitch.halt_file import HaltFile
from proxy.killswitch.inflight import InFlight
from proxy.killswitch.keeper import LeaseKeeper
from proxy.killswitch.lease import KillLease
from proxy.killswitch.relay import Relay
from proxy.killswitch.switch import KillSwitch
from proxy.model.lease import LeaseTerms
from proxy.model.sidecar import Sidecar
from proxy.model.token import TokenKind, new_token, token_sha256
from proxy.stores.remote import RemoteStore
from proxy.stores.remote.gateway import answered
from proxy.stores.sqlite import SqliteStore

HOST = "127.0.0.1:8789"
MINE = Sidecar("pod-1", frozenset({"acme/loop"}))
OTHER = Sidecar("pod-2", frozenset({"globex/other"}))


class LocalGateway:
    """What `proxy.stores.remote.gateway.Gateway` does, without sockets; `away`: not reachable."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {token}"}
        self.away = False

    async def post(self, path: str, body: bytes, timeout_s: float = 2.0) -> bytes:
        """Ask, as the real one does."""
        del timeout_s
        headers = self._headers | {"content-type": "application/json"}
        return await self._send("POST", path, headers=headers, content=body)

    async def close(self) -> None:
        """Nothing is open."""

    async def _send(self, method: str, path: str, **more: Any) -> bytes:
        if self.away:
            raise StoreUnavailable("The gateway cannot be asked.")
        answer = await self._client.request(method, f"/attach/v1/{path}", **more)
        return answered(answer.status_code, answer.content)


@dataclass
class Attached:
    """A gateway, and two sidecars of it that speak for different agents."""

    ledger: SqliteStore
    kill_switch: KillSwitch
    lease: KillLease
    relay: Relay
    client: httpx.AsyncClient
    tokens: dict[str, str]
    directory: Path
    ports: AttachPorts

    def gateway(self, sidecar: Sidecar = MINE) -> LocalGateway:
        """Return a sidecar's connection."""
        return LocalGateway(self.client, self.tokens[sidecar.name])

    def store(self, gateway: LocalGateway | None = None) -> RemoteStore:
        """Return a sidecar's ledger."""
        asked = cast("Any", gateway or self.gateway())
        return RemoteStore(asked, self.directory / "outcomes.jsonl")


@asynccontextmanager
async def attached(directory: Path) -> AsyncIterator[Attached]:
    """Serve the port from a ledger in that directory."""
    ledger = SqliteStore(directory / "gateway.db")
    await ledger.open()
    kill_switch = KillSwitch(ledger, HaltFile(directory / "halt.json"), InFlight())
    await kill_switch.start()
    lease = KillLease(LeaseTerms())
    keeper = LeaseKeeper(lease, kill_switch, ledger)
    await keeper.start()
    relay = Relay(lease)
    tokens = {one.name: new_token(TokenKind.SIDECAR) for one in (MINE, OTHER)}
    sidecars = {token_sha256(tokens[one.name]): one for one in (MINE, OTHER)}

    async def bundle() -> tuple[str, bytes]:
        return "sha256:1", b"archive"

    ports = AttachPorts(sidecars, ledger, kill_switch, relay, bundle)
    app = attach_app(ports, GuardSettings(frozenset({HOST})))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        yield Attached(ledger, kill_switch, lease, relay, client, tokens, directory, ports)
    await keeper.stop()
    await kill_switch.stop()
    await ledger.close()
