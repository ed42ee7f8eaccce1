import asyncio
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from credentials.base import BrokerUnavailable, GrantRefused
from proxy.model.call import Door, ToolCall
from proxy.model.kill import GLOBAL, KillAction, KillOrder, KillVerdict
from proxy.model.lease import Grant
from proxy.model.ledger import Outcome
from proxy.model.step import Step

WALL_S = 1_800_000_000.0
GRANT = {"broker": "keys", "audience": "https://repo", "scope": ["repo:read"], "ttl": 30}


def grant(house: Any, **more: Any) -> None:
    house.engine.decision = house.engine.decision | {"grant": GRANT | more}


async def test_the_lease_goes_with_the_call_and_is_taken_back(house: Any) -> None:
    """One credential for one call."""
    grant(house)
    answer = await house.call()
    assert answer.outcome is Outcome.DONE
    assert house.tool.headers == [{"Authorization": "Bearer lent"}]
    (request,) = house.broker.minted
    assert (request.step_id, request.scope, request.write) == (answer.step_id, ("repo:read",), True)
    assert house.broker.revoked == [request.lease_id]


@pytest.mark.parametrize("broker", [None, {"broker": "none"}])
async def test_no_grant_means_no_credential(house: Any, broker: Any) -> None:
    """The policy may grant nothing."""
    empty = broker and GRANT | broker | {"audience": "", "scope": []}
    house.engine.decision = house.engine.decision | {"grant": empty}
    assert (await house.call()).outcome is Outcome.DONE
    assert house.broker.minted == []


@pytest.mark.parametrize(
    "wider",
    [{"scope": ["repo:admin"]}, {"audience": "https://other"}, {"broker": "other"}],
)
async def test_a_grant_wider_than_the_ceiling_mints_nothing(
    house: Any, wider: dict[str, Any]
) -> None:
    """Granted is inside the manifest's ceiling, or nothing is (I23)."""
    grant(house, **wider)
    answer = await house.call()
    assert answer.reasons[0].id == "credential-refused"
    assert house.broker.minted == []
    assert house.tool.received == []


async def test_a_manifest_may_name_a_broker_that_is_not_configured(house: Any) -> None:
    """Then there is no credential and no call."""
    grant(house)
    house.stages.lend._brokers.clear()
    assert (await house.call()).reasons[0].id == "credential-refused"


@pytest.mark.parametrize(
    ("failure", "reason", "http"),
    [
        (GrantRefused, "credential-refused", 403),
        (BrokerUnavailable, "credential-unavailable", 503),
    ],
)
async def test_a_broker_that_fails_ends_the_call_with_nothing_sent(
    house: Any, failure: Any, reason: str, http: int
) -> None:
    """The reservation is closed again and costs nothing."""
    grant(house)
    house.broker.failure = failure
    answer = await house.call()
    assert (answer.reasons[0].id, answer.http, answer.outcome) == (reason, http, Outcome.DENIED)
    assert house.tool.received == []
    assert answer.budget.used == answer.budget.held == 0


async def test_a_kill_during_the_mint_takes_the_lease_back(house: Any) -> None:
    """The epoch is read again after the mint; a kill between mint and attach revokes (A65)."""
    grant(house)
    kills: list[asyncio.Task[Any]] = []

    def kill() -> None:
        work = house.kill_switch.kill((GLOBAL,), "oncall", "now")
        kills.append(asyncio.ensure_future(work))
        house.kill_switch._pending["early"] = house.kill_switch._pending.get("early") or _order()

    house.broker.after_mint = kill
    answer = await house.call()
    assert "killed" in {given.id for given in answer.reasons}
    assert house.broker.revoked == [house.broker.minted[0].lease_id]
    assert house.tool.received == []
    house.kill_switch._pending.pop("early")
    report = await kills[0]
    assert set((await house.kill_switch.verdicts(report.epoch)).values()) <= {
        KillVerdict.NEVER_DISPATCHED
    }


async def test_a_kill_before_the_mint_mints_nothing(house: Any) -> None:
    """Read right before the mint as well."""
    grant(house)
    step = await _reserved(house)
    wanted = house.stages.lend.request(step)
    await house.kill_switch.kill((GLOBAL,), "oncall", "now")
    with pytest.raises(Exception, match="killed"):
        await house.stages.lend.mint(step, wanted)
    assert house.broker.minted == []


async def test_a_fenced_credential_ends_with_the_kill_lease(house: Any) -> None:
    """What the resource checks is over when this process may start nothing any more."""
    grant(house)
    house.broker.is_fenced = True
    house.clock.now += 0.5
    assert (await house.call()).outcome is Outcome.DONE
    (request,) = house.broker.minted
    assert request.ends_by_s == pytest.approx(WALL_S + house.lease.remaining_s)
    assert 1.4 < house.lease.remaining_s < 1.5


async def test_a_credential_nobody_checks_has_no_such_end(house: Any) -> None:
    """A static key does not end, whatever we say (tier B)."""
    grant(house)
    await house.call()
    assert house.broker.minted[0].ends_by_s == math.inf


async def test_near_its_end_the_mint_waits_for_a_renewal(house: Any) -> None:
    """A token that could not arrive is not made; the next renewal is a fraction of a lease away."""
    grant(house)
    house.broker.is_fenced = True
    house.clock.now += 1.7
    calling = asyncio.create_task(house.call())
    await asyncio.sleep(0.1)
    assert house.broker.minted == []
    house.lease.granted(Grant(house.lease.ask(0, 0).nonce, 2.0, (), house.clock.now))
    assert (await calling).outcome is Outcome.DONE
    assert house.broker.minted[0].ends_by_s == pytest.approx(WALL_S + 1.98)


async def test_without_a_renewal_nothing_is_minted(house: Any) -> None:
    """The wait is bounded: it is over with the kill lease."""
    grant(house)
    house.broker.is_fenced = True
    house.clock.now += 1.7
    calling = asyncio.create_task(house.call())
    await asyncio.sleep(0.1)
    house.clock.now += 0.3
    answer = await calling
    assert (answer.outcome, answer.reasons[0].id) == (Outcome.DENIED, "kill-lease-expired")
    assert house.broker.minted == []


async def test_a_credential_that_ended_on_the_way_is_not_sent(house: Any) -> None:
    """A connection can take longer to make than a token lives: nothing is sent, try again."""
    grant(house)
    house.broker.lasts_s = 0.0
    answer = await house.call()
    assert (answer.outcome, answer.reasons[0].id) == (Outcome.DENIED, "credential-unavailable")
    assert house.tool.received == []


async def test_a_lease_that_cannot_be_taken_back_is_said_so(house: Any) -> None:
    """The provider did not confirm; the lease dies by its expiry."""
    grant(house)
    house.broker.revoke_fails = True
    assert (await house.call()).outcome is Outcome.DONE
    lease = await house.broker.mint(house.broker.minted[0])
    assert await house.stages.lend.take_back(lease) is False
    assert await house.stages.lend.take_back(None) is True


async def test_what_another_process_lent_is_revoked_by_its_id(house: Any) -> None:
    """Where the broker is configured here, and confirms it."""
    lend = house.stages.lend
    assert await lend.revoke("keys", "lse_1") is True
    assert house.broker.revoked == ["lse_1"]
    assert await lend.revoke("vault", "lse_1") is False
    house.broker.revoke_fails = True
    assert await lend.revoke("keys", "lse_1") is False


async def test_a_preview_describes_and_mints_nothing(house: Any) -> None:
    """Not even for a dry run."""
    grant(house)
    answer = await house.call(dry_run=True)
    assert answer.preview["credential"] == {"broker": "keys", "audience": "https://repo"}
    assert house.broker.minted == []


async def test_a_preview_of_a_refused_grant_is_refused(house: Any) -> None:
    """A dry run does not hide that the real call would fail."""
    grant(house)
    house.broker.failure = GrantRefused
    assert (await house.call(dry_run=True)).reasons[0].id == "credential-refused"


async def test_an_undecided_step_gets_no_credential(house: Any) -> None:
    """Nothing is lent without a decision."""
    with pytest.raises(Exception, match="credential-refused"):
        house.stages.lend.request(await _admitted(house))


async def _admitted(house: Any) -> Any:
    return await house.stages.admit(_step(await house.caller()))


async def _reserved(house: Any) -> Any:
    step = house.stages.resolve(await _admitted(house))
    return await house.stages.decide(step)


def _step(caller: Any) -> Step:
    call = ToolCall("repo", "write_file", b'{"path":"a"}', Door.CALLS)
    return Step("stp_1", call, caller.principal, caller.session, 0, caller.session.mode)


def _order() -> KillOrder:
    at = datetime.now(UTC)
    return KillOrder("early", KillAction.KILL, (GLOBAL,), "oncall", "now", at)
