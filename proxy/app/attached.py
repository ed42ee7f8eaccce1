"""A sidecar's side of being attached: the connection to its gateway, and the policy from there."""

import asyncio
import contextlib
import logging
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from credentials.base import BrokerMisconfigured
from credentials.secret_source import SecretSource
from proxy.app.secrets import Secrets
from proxy.config import Settings
from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient, EgressLimits
from proxy.errors import (
    ConfigError,
    EgressRefused,
    PolicyError,
    PolicyInvalid,
    StoreUnavailable,
)
from proxy.pdp.archive import unpack
from proxy.pdp.scratch import needs_room
from proxy.stores.remote.gateway import Gateway

log = logging.getLogger(__name__)

LOOK_S = 5.0
FIRST_LOOK_S = 30.0
AGAIN_S = 1.0
FETCH_S = 10.0
CONNECTIONS = 128
LEASE_CONNECTIONS = 8  # renewals of a whole lease, a push that is waited for, an acknowledgement


def gateway_of(settings: Settings, secrets: Secrets) -> Gateway:
    """Return the connection to the gateway; needs a running event loop. Raises ConfigError."""
    make = gateways_of(settings, secrets, CONNECTIONS)
    try:
        return make()
    except (EgressRefused, OSError) as error:
        raise ConfigError((f"attach: {error}",)) from None


def gateways_of(
    settings: Settings, secrets: Secrets, connections: int = LEASE_CONNECTIONS
) -> Callable[[], Gateway]:
    """Return what makes such connections, each in the event loop it is made in.

    Raises ConfigError; what it returns raises EgressRefused and OSError.
    """
    attach = settings.attach
    if attach.url is None or attach.token is None:
        raise ConfigError(("attach: name the gateway by `url` or --attach, and our `token`",))
    url, token = attach.url, _token_of(secrets.open(attach.token, "attach.token"))
    ca_file = str(settings.path(attach.ca_file)) if attach.ca_file else None

    def make() -> Gateway:
        policy, limits = AddressPolicy(allow_private=True), EgressLimits(connections)
        return Gateway(EgressClient(url, policy, limits, ca_file), url, token)

    return make


def _token_of(source: SecretSource) -> Callable[[], str]:
    """Return what gives the token as it is now, to any thread."""
    reading = threading.Lock()

    def read() -> str:
        try:
            with reading:
                return source.read()
        except BrokerMisconfigured as error:
            raise StoreUnavailable(f"attach.token cannot be read: {error}") from None

    return read


class AttachedPolicy:
    """The gateway's policy, kept in a directory of ours. `revision` is the gateway's own."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._private = tempfile.TemporaryDirectory(prefix="detent-attached-")
        self.directory = Path(self._private.name) / "policies"
        self.revision = ""
        self._known = ""  # what the gateway need not give again

    async def first(self) -> None:
        """Get the policy, waiting for a gateway that is just starting.

        Raises StoreUnavailable, PolicyInvalid.
        """
        try:
            async with asyncio.timeout(FIRST_LOOK_S):
                while not self.revision:
                    await self._try()
        except TimeoutError:
            cure = "look at attach.url, attach.token and the gateway's own log"
            raise StoreUnavailable(f"The gateway gives no policy; {cure}.") from None

    async def _try(self) -> None:
        try:
            await self.look()
        except StoreUnavailable as error:
            log.warning("the gateway's policy cannot be had yet: %s", error)
            await asyncio.sleep(AGAIN_S)

    async def look(self) -> bool:
        """Get the policy if it is another one; say so. Raises StoreUnavailable, PolicyInvalid."""
        revision, packed = await self._gateway.bundle(self._known, FETCH_S)
        if revision == self._known:
            return False
        await asyncio.to_thread(self._replace, packed)
        self.revision = self._known = revision
        return True

    async def follow(self, reload: Callable[[], Awaitable[str]]) -> None:
        """Load every new policy of the gateway; one that does not load changes nothing.

        What could not be tried is tried again.
        """
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(StoreUnavailable):
                await self._follow_once(reload)

    async def _follow_once(self, reload: Callable[[], Awaitable[str]]) -> None:
        try:
            if await self.look():
                self._known = ""
                await reload()
        except PolicyInvalid as error:
            log.error("the gateway's policy was not loaded: %s", error)
        except PolicyError as error:
            log.error("the gateway's policy could not be tried: %s", error)
            return
        self._known = self.revision

    async def close(self) -> None:
        """Remove our copy and close the connection."""
        await self._gateway.close()
        self._private.cleanup()

    def _replace(self, packed: bytes) -> None:
        with needs_room():
            fresh = Path(tempfile.mkdtemp(dir=self._private.name))
            unpack(packed, fresh)
            shutil.rmtree(self.directory, ignore_errors=True)
            fresh.rename(self.directory)
