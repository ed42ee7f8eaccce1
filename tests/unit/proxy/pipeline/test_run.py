import asyncio
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.kill import GLOBAL, KillVerdict
from proxy.model.ledger import Outcome
from proxy.pipeline.sessions import SessionRequest


async def test_the_walk_down_and_back(house: Any) -> None:
    """Token, manifest, policy, ledger, credential, tool, outcome: one call, one answer."""
    answer = await house.call()
    assert (answer.verdict, answer.outcome, answer.result) == (
        "allow",
        Outcome.DONE,
        b'{"content":[]}',
    )
    assert answer.policy_revision == "sha256:test"
    assert (answer.budget.used, answer.risk) == (5, 5)


async def test_a_hold_waits_for_an_approval(house: Any) -> None:
    """The verdict says hold, the outcome where it waits."""
    reasons = [{"id": "approval-required", "message": "A person has to approve."}]
    house.engine.decision = house.engine.decision | {"verdict": "hold", "reasons": reasons}
    answer = await house.call("rm")
    assert (answer.verdict, answer.outcome, answer.http) == ("hold", Outcome.PENDING_APPROVAL, 202)
    assert house.tool.received == []


async def test_a_policy_that_is_down_denies_everything(house: Any) -> None:
    """Reads too; the reason says so."""
    house.engine.down = True
    answer = await house.call("read_file")
    assert (answer.reasons[0].id, answer.http) == ("policy-unavailable", 503)
    assert house.tool.received == []


async def test_a_kill_while_the_policy_thinks_ends_the_call(house: Any) -> None:
    """Cut where it stands; the ledger has a refusal and the kill its verdict."""
    asked = asyncio.Event()

    async def think(*given: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    house.engine.query = think
    call = asyncio.create_task(house.call())
    await asked.wait()
    report = await house.kill_switch.kill((GLOBAL,), "oncall", "now")
    answer = await call
    assert answer.reasons[0].id == "killed"
    verdicts = await house.kill_switch.verdicts(report.epoch)
    assert verdicts == {answer.step_id: KillVerdict.NEVER_DISPATCHED}


async def test_a_call_that_thinks_when_the_drain_ends_is_refused(house: Any) -> None:
    """For the reason it has: nobody killed it."""
    asked = asyncio.Event()

    async def think(*given: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    house.engine.query = think
    call = asyncio.create_task(house.call())
    await asked.wait()
    house.flights.give_up()
    assert [given.id for given in (await call).reasons] == ["draining"]


async def test_a_kill_while_the_reservation_is_written_leaves_it_closed(house: Any) -> None:
    """The transaction may commit after the cut; it is closed right behind."""
    reserve, writing = house.store.reserve, asyncio.Event()

    async def slow(reservation: Any) -> Any:
        reserved = await reserve(reservation)
        writing.set()
        await asyncio.Event().wait()
        return reserved

    house.store.reserve = slow
    call = asyncio.create_task(house.call())
    await writing.wait()
    await house.kill_switch.kill((GLOBAL,), "oncall", "now")
    assert (await call).reasons[0].id == "killed"
    (row,) = await house.store.steps(None, (), 10)
    assert row.state.value == "failed"
    assert house.tool.received == []


async def test_a_client_that_goes_away_early_ends_the_call(house: Any) -> None:
    """Nothing is sent for nobody."""
    asked = asyncio.Event()

    async def think(*given: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    house.engine.query = think
    call = asyncio.create_task(house.call())
    await asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert house.tool.received == []
    assert len(house.flights) == 0


async def test_a_killed_or_draining_house_opens_no_session(house: Any) -> None:
    """Not even for a valid token."""
    house.stages.admit.draining = True
    assert not house.pipeline.ready()
    with pytest.raises(Refused, match="draining"):
        await house.pipeline.open_session(house.token, SessionRequest())
    await house.kill_switch.kill((GLOBAL,), "oncall", "now")
    with pytest.raises(Refused, match="killed"):
        await house.pipeline.open_session(house.token, SessionRequest())


async def test_a_stream_is_told_to_close_by_a_kill(house: Any) -> None:
    """Idle streams end too."""
    with house.pipeline.stream(await house.caller()) as closing:
        await house.kill_switch.kill((GLOBAL,), "oncall", "now")
        assert closing.is_set()


async def test_the_manifests_in_force_are_told(house: Any) -> None:
    """Another mapping after a reload, so that a door knows when to look again."""
    before = house.pipeline.manifests()
    assert before["repo", "write_file"].tool == "write_file"
    house.stages.resolve.replace(dict(before))
    assert house.pipeline.manifests() is not before


async def test_what_the_manifest_offers_is_told_by_server_and_method(house: Any) -> None:
    """Tools all stand under one method."""
    offered = house.pipeline.offered("repo")
    assert {("repo", "tools/call"), ("repo", "resources/read")} <= offered
    assert house.pipeline.offered("elsewhere") == frozenset()
    assert house.pipeline.offered(None) == offered


async def test_health_is_more_than_taking_calls(house: Any) -> None:
    """A house whose policy is down takes calls, to refuse them; one that drains is not asked."""
    assert await house.pipeline.healthy()
    house.engine.down = True
    assert house.pipeline.ready()
    assert not await house.pipeline.healthy()
    house.engine.down = False
    house.stages.admit.draining = True
    assert not await house.pipeline.healthy()
