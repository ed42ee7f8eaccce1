from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from credentials.base import GrantRefused, LeaseRequest
from credentials.none_broker import NoneBroker

Wanted = Callable[..., LeaseRequest]


async def test_nothing_is_lent(wanted: Wanted, clock: Callable[[], float]) -> None:
    """The lease has an id and an end, and puts no header on the request."""
    broker = NoneBroker(clock)
    lease = await broker.mint(wanted())
    await broker.revoke(lease.id)
    assert (lease.id, lease.broker, dict(lease.headers)) == ("lse_1", "none", {})
    assert lease.expires_at == datetime.fromtimestamp(1_800_000_030, UTC)


def test_a_preview_says_so(wanted: Wanted) -> None:
    """No credential is needed, none is minted."""
    assert NoneBroker().preview(wanted())["minted"] is False


async def test_the_bounds_hold_here_too(wanted: Wanted) -> None:
    """A lease of an hour is refused even when it is empty."""
    with pytest.raises(GrantRefused):
        await NoneBroker().mint(wanted(ttl_s=3600))
    with pytest.raises(GrantRefused):
        NoneBroker().preview(wanted(ttl_s=0))
