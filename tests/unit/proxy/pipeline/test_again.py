import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.chain.guarded import Found, Told
from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.model.kill import GLOBAL, KillVerdict
from proxy.model.ledger import IntentState
from proxy.model.tool import Recovery
from proxy.pipeline.document import parse_document
from proxy.pipeline.reserve import Reserving
from proxy.upstream.base import UpstreamResult
from tests.harness.pipeline_parts import allow
from tests.harness.recalling import LOOK, denied, guarded, killed, left, session_ended
from tests.unit.proxy.pipeline.conftest import House, limits

GRANT = {"broker": "keys", "audience": "https://repo", "scope": ["repo:write"], "ttl": 30}


async def test_the_same_call_goes_out_again(house: House) -> None:
    """Same bytes, same key, a credential of its own; the ledger is left to recovery."""
    house.engine.decision = allow(grant=GRANT)
    step = await left(house)
    told = await guarded(house).again(step, "me")
    assert (told.found, told.why) == (Found.DONE, "sent-again")
    first, second = house.tool.calls
    assert (first.arguments, first.extras) == (second.arguments, second.extras)
    assert first.idempotency_key == second.idempotency_key == step.id
    assert [one.lease_id for one in house.broker.minted] == house.broker.revoked
    assert len(set(house.broker.revoked)) == 2
    assert (await house.store.unsettled()) == {IntentState.UNKNOWN: 1}
    assert told.answer is not None
    assert parse_document(told.answer).result == b'{"text":"a"}'


async def test_an_attempt_has_a_decision_of_its_own(house: House) -> None:
    """Under the policy of now, for the agent as it is now."""
    step = await left(house)
    await guarded(house).again(step, "me")
    first, second = house.engine.inputs
    assert first["subject"] == second["subject"]
    records = await house.store.decisions(10, ("*",))
    assert [record.step_id for record in records] == [step.id, step.id]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (UpstreamResult(b"{}", is_error=True), (Found.FAILED, "sent-again")),
        (UpstreamResult(b"{}", needs_input=True), (Found.REFUSED, "role-allows-tool")),
        (UpstreamFailed("no"), (Found.NOT_NOW, "upstream-failed")),
        (OutcomeUnknown("cut off"), (Found.SILENT, "outcome-unknown")),
    ],
)
async def test_what_the_tool_answers_this_time_is_told(
    house: House, answer: Any, told: tuple[Found, str]
) -> None:
    """An attempt that failed on its way says nothing of the one before."""
    step = await left(house)
    house.tool.answer = answer
    found = await guarded(house).again(step, "me")
    assert (found.found, found.why) == told


async def held(house: House) -> None:
    """Have the policy ask for an approval."""
    house.engine.decision = allow(verdict="hold")


async def previewed(house: House) -> None:
    """Toggle dry run."""
    await house.store.set_dry_run(GLOBAL, True, "oncall", datetime.now(UTC))


async def locked(house: House) -> None:
    """Lock the agent."""
    await house.store.lock_agent("acme", "loop", "canary", datetime.now(UTC))


async def policy_down(house: House) -> None:
    """Have no decision."""
    house.engine.down = True


async def of_another_class(house: House) -> None:
    """Review the tool anew."""
    known = dict(house.stages.resolve.manifests)
    known["repo", "write_file"] = replace(known["repo", "write_file"], recovery=Recovery.OPAQUE)
    house.stages.resolve.replace(known)


async def agent_removed(house: House) -> None:
    """Take the agent out of the settings."""
    house.stages.authenticate._by_name.clear()


CHANGES: dict[Callable[[House], Any], tuple[Found, str]] = {
    killed: (Found.NOT_NOW, "killed"),
    policy_down: (Found.NOT_NOW, "policy-unavailable"),
    session_ended: (Found.REFUSED, "session-closed"),
    denied: (Found.REFUSED, "role-allows-tool"),
    held: (Found.REFUSED, "role-allows-tool"),
    previewed: (Found.REFUSED, "default-deny"),
    locked: (Found.REFUSED, "agent-locked"),
    of_another_class: (Found.REFUSED, "default-deny"),
    agent_removed: (Found.REFUSED, "session-closed"),
}


@pytest.mark.parametrize(
    ("change", "told"), CHANGES.items(), ids=[change.__name__ for change in CHANGES]
)
async def test_an_attempt_passes_the_checks_of_any_call(
    house: House, change: Callable[[House], Any], told: tuple[Found, str]
) -> None:
    """As everything stands now; nothing goes out."""
    step = await left(house)
    await change(house)
    found = await guarded(house).again(step, "me")
    assert (found.found, found.why) == told
    assert len(house.tool.received) == 1


async def test_a_step_that_somebody_else_has_taken_is_theirs(house: House) -> None:
    """The ledger says so, right before the credential."""
    step = await left(house)
    assert (await guarded(house).again(step, "other")).found is Found.LOST
    assert len(house.tool.received) == 1


async def test_a_later_round_is_not_sent_again(house: House) -> None:
    """Nobody is there to answer the tool's questions."""
    step = await left(house)
    intent = replace(step.row.intent, continues="stp_1")
    later = replace(step, row=replace(step.row, intent=intent))
    assert await guarded(house).again(later, "me") == Told(Found.REFUSED, "later-round")


@pytest.mark.parametrize("verb", ["again", "probe"])
async def test_a_tool_that_cannot_be_reached_from_here_is_not_asked(
    house: House, verb: str
) -> None:
    """Our own child of the same name is another one."""
    step = await left(house, probe=LOOK)
    calls = guarded(house, reaches=lambda _: False)
    found = await (calls.again(step, "me") if verb == "again" else calls.probe(step))
    assert found == Told(Found.REFUSED, "out-of-reach")


async def test_an_agent_that_signed_in_elsewhere_has_the_roles_it_had(house: House) -> None:
    """Where issuers are trusted, the ledger remembers what the token said."""
    reserving = Reserving(house.store, limits, "hld_1")
    assert reserving is not house.stages.reserve
    step = await left(house)
    house.stages.authenticate._by_name.clear()
    found = await guarded(house, trusts_issuers=True).again(step, "me")
    assert found.found is Found.DONE
    assert house.engine.inputs[-1]["subject"]["roles"] == ["maintainer"]


async def test_the_roles_that_a_sidecar_wrote_down_are_not_believed(house: House) -> None:
    """It could have named any, and here the call would go out with our credentials."""
    step = await left(house)
    intent = replace(step.row.intent, holder="pod/hld_1", roles=("admin",))
    step = replace(step, row=replace(step.row, intent=intent))
    house.stages.authenticate._by_name.clear()
    found = await guarded(house, trusts_issuers=True).again(step, "me")
    assert found.found is Found.REFUSED
    assert len(house.tool.calls) == 1


async def test_a_kill_on_the_way_down_cuts_an_attempt(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is sent; of the step itself nothing more is known."""
    step = await left(house)

    killing: list[asyncio.Future[None]] = []

    async def query(*_: object) -> None:
        killing.append(asyncio.ensure_future(killed(house)))
        await asyncio.Event().wait()

    monkeypatch.setattr(house.engine, "query", query)
    assert await guarded(house).again(step, "me") == Told(Found.NOT_NOW, "killed")
    await asyncio.gather(*killing)
    assert await house.kill_switch.verdicts(1) == {step.id: KillVerdict.UNKNOWN}
    assert len(house.tool.received) == 1


async def test_a_kill_at_the_tool_cuts_an_attempt(house: House) -> None:
    """Its outcome is as unknown as before."""
    step = await left(house)
    house.tool.hang_after = asyncio.Event()
    task = asyncio.create_task(guarded(house).again(step, "me"))
    while len(house.tool.received) == 1:
        await asyncio.sleep(0)
    await killed(house)
    assert (await task).found is Found.NOT_NOW
    assert await house.kill_switch.verdicts(1) == {step.id: KillVerdict.UNKNOWN}


async def test_the_end_of_a_drain_cuts_an_attempt(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is nobody's kill."""
    step = await left(house)

    async def query(*_: object) -> None:
        house.flights.give_up()
        await asyncio.Event().wait()

    monkeypatch.setattr(house.engine, "query", query)
    assert await guarded(house).again(step, "me") == Told(Found.NOT_NOW, "draining")


async def test_any_other_cancellation_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recovery itself is stopped."""
    step = await left(house)
    asked = asyncio.Event()

    async def query(*_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(house.engine, "query", query)
    task = asyncio.create_task(guarded(house).again(step, "me"))
    await asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
