"""The `none` broker: for tools that need no credential."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from credentials import bounds
from credentials.base import Lease, LeaseRequest


class NoneBroker:
    """Lends a lease without headers, so that every call has one; `clock` gives Unix seconds."""

    is_fenced = False

    def __init__(self, clock: Callable[[], float] = time.time, name: str = "none") -> None:
        self.name = name
        self._clock = clock

    def preview(self, request: LeaseRequest) -> dict[str, object]:
        """Say that there is no credential. Raises GrantRefused."""
        bounds.check_ttl(request.ttl_s)
        return {"broker": self.name, "minted": False, "note": "no credential is needed"}

    async def mint(self, request: LeaseRequest) -> Lease:
        """Lend nothing. Raises GrantRefused."""
        bounds.check_ttl(request.ttl_s)
        expires = datetime.fromtimestamp(self._clock() + request.ttl_s, UTC)
        return Lease(id=request.lease_id, broker=self.name, expires_at=expires)

    async def revoke(self, lease_id: str) -> None:
        """Nothing was lent."""
