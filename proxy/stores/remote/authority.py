"""The kill log as a sidecar hears of it: renewals, pushes, acknowledgements, one gateway.

A part of the store, and also by itself: the kill lease is kept on an event loop of its own, over
a connection of its own.
"""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from proxy.errors import StoreUnavailable
from proxy.model.lease import Grant, Renewal
from proxy.model.token import new_id
from proxy.stores.remote.gateway import Gateway

POLL_S = 25.0

_RENEWAL = TypeAdapter(Renewal)
_GRANT = TypeAdapter(Grant)
_LEFT = TypeAdapter(tuple[str])
_NEWEST = TypeAdapter(int)


class GatewayAuthority:
    """What a keeper of a kill lease asks, answered by a gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def renew(self, renewal: Renewal) -> Grant:
        """See the port; what is granted is the remainder of the gateway's own lease."""
        grant: Grant = read(_GRANT, await self._gateway.post("lease", _RENEWAL.dump_json(renewal)))
        return grant

    async def acknowledge(self, holder: str, epoch: int) -> None:
        """See the port. A renewal says it too, and is what a gateway answers fastest.

        What it grants is not taken: nobody asked for it.
        """
        said = Renewal(holder, new_id("non"), epoch, epoch)
        await self._gateway.post("lease", _RENEWAL.dump_json(said))

    async def leave(self, holder: str) -> None:
        """See the port."""
        await self._gateway.post("leave", _LEFT.dump_json((holder,)))

    async def pushed(self, known: int) -> None:
        """See the port."""
        newest = known
        while newest <= known:
            told = await self._gateway.post("kills", b"[%d]" % known, POLL_S)
            newest = read(_NEWEST, told)


def read(shape: TypeAdapter[Any], body: bytes) -> Any:
    """Return a gateway's answer. Raises StoreUnavailable when it does not fit."""
    try:
        return shape.validate_json(body, strict=True)
    except ValidationError:
        raise StoreUnavailable("The gateway's answer does not fit.") from None
