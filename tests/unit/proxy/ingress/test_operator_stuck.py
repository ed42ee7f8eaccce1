from dataclasses import replace

import pytest

from proxy.model.ledger import IntentState
from proxy.model.recovery import Resolution, Take
from tests.harness.ledger import NOW, Call, after, session, settled
from tests.harness.operators import Plane

PLACE = "/v1/intents/stp1/settle"
DONE = {"outcome": "done", "reason": "seen in its log"}


async def open_step(plane: Plane, tenant: str = "acme", *, stuck: bool = True) -> None:
    """Leave a step that nobody can tell of."""
    owner = session(tenant=tenant)
    await plane.store.open_session(owner, None, 10)
    await plane.store.reserve(Call(session=owner).reservation())
    await plane.store.settle(settled(state=IntentState.UNKNOWN))
    await plane.store.take_unsettled(Take("me", NOW, after(9), 0.0))
    if stuck:
        await plane.store.resolve(Resolution("stp1", IntentState.STUCK, NOW, "opaque", "me"))


@pytest.mark.parametrize("outcome", ["done", "failed"])
async def test_a_stuck_step_is_settled_once(plane: Plane, outcome: str) -> None:
    """As what a person says; the second word is refused."""
    await open_step(plane)
    status, told = await plane.ask("POST", PLACE, DONE | {"outcome": outcome}, by="approve")
    assert (status, told["state"], told["step_id"]) == (200, outcome, "stp1")
    assert told["detail"] == "operator approve: seen in its log"
    status, problem = await plane.ask("POST", PLACE, DONE, by="approve")
    assert (status, problem["code"]) == (409, "step-not-stuck")
    assert outcome in problem["detail"]


async def test_a_settlement_is_audited_before_it_is_made(plane: Plane) -> None:
    """Who, what, and why."""
    await open_step(plane)
    await plane.ask("POST", PLACE, DONE, by="approve")
    record = (await plane.store.decisions(1, ("*",)))[0]
    assert (record.agent, record.resource_id) == ("operator:approve", "operators/settle")
    assert record.reasons[0].message == "settle stp1 repo/git_commit done seen in its log"


async def test_a_step_that_is_being_recovered_is_not_settled(plane: Plane) -> None:
    """Two would settle it."""
    await open_step(plane, stuck=False)
    status, problem = await plane.ask("POST", PLACE, DONE, by="approve")
    assert (status, problem["code"]) == (409, "step-not-stuck")


async def test_a_late_outcome_goes_before_an_operator(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It came between the look and the settlement."""
    await open_step(plane)

    async def resolve(resolution: Resolution) -> bool:
        await plane.store.settle(replace(settled(), step_id=resolution.step_id))
        return False

    monkeypatch.setattr(plane.store, "resolve", resolve)
    status, problem = await plane.ask("POST", PLACE, DONE, by="approve")
    assert (status, problem["code"]) == (409, "step-not-stuck")


async def test_steps_of_other_tenants_are_not_there(plane: Plane) -> None:
    """Nor those that never were."""
    await open_step(plane, tenant="umbrella")
    operator = "acme"
    status, problem = await plane.ask("POST", PLACE, DONE, by=operator)
    assert (status, problem["code"]) == (404, "not-found")
    status, _ = await plane.ask("POST", "/v1/intents/stp9/settle", DONE, by="approve")
    assert status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"reason": "x"}, "invalid-outcome"),
        ({"outcome": "aborted", "reason": "x"}, "invalid-outcome"),
        ({"outcome": ["done"], "reason": "x"}, "invalid-outcome"),
        ({"outcome": "done"}, "reason-required"),
        ({"outcome": "done", "reason": " "}, "reason-required"),
        (DONE | {"force": True}, "unknown-member"),
    ],
)
async def test_a_settlement_says_what_and_why(
    plane: Plane, body: dict[str, object], code: str
) -> None:
    """Nothing else is taken."""
    await open_step(plane)
    status, problem = await plane.ask("POST", PLACE, body, by="approve")
    assert (status, problem["code"]) == (400, code)
