import asyncio
from typing import Any, cast

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.kill import GLOBAL
from proxy.model.lease import Renewal
from proxy.stores.remote import GatewayAuthority
from tests.harness.attached import Attached, LocalGateway


@pytest.fixture
def gateway(attached: Attached) -> LocalGateway:
    return attached.gateway()


@pytest.fixture
def authority(gateway: LocalGateway) -> GatewayAuthority:
    return GatewayAuthority(cast("Any", gateway))


async def test_a_lease_is_what_is_left_of_the_gateways(
    authority: GatewayAuthority, attached: Attached
) -> None:
    """Granted, acknowledged, given up; a kill is pushed."""
    grant = await authority.renew(Renewal("hld", "nonce", 0, 0))
    assert grant.nonce == "nonce"
    assert 0 < grant.remaining_s <= attached.lease.remaining_s + 0.5
    pushed = asyncio.create_task(authority.pushed(0))
    report = await attached.kill_switch.kill((GLOBAL,), "oncall", "")
    async with asyncio.timeout(5):
        await pushed
    (entry,) = (await authority.renew(Renewal("hld", "nonce", 0, 0))).entries
    assert (entry.epoch, entry.order.scopes) == (report.epoch, (GLOBAL,))
    await authority.acknowledge("hld", entry.epoch)
    assert attached.relay.standing(entry.epoch)["pod-1/hld"].value == "acked"
    await authority.leave("hld")
    assert "pod-1/hld" not in attached.relay.standing(entry.epoch)


async def test_an_answer_that_does_not_fit_is_none(
    authority: GatewayAuthority, gateway: Any
) -> None:
    """Another version, or something else that listens there."""

    async def surprise(*_: object) -> bytes:
        return b'{"surprise":1}'

    gateway.post = surprise
    for asked in (authority.renew(Renewal("hld", "nonce", 0, 0)), authority.pushed(0)):
        with pytest.raises(StoreUnavailable, match="does not fit"):
            await asked
