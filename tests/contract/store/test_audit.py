"""Audit records and the lists operators read."""

import pytest

from proxy.model.decision import Reason
from proxy.model.ledger import IntentState
from proxy.model.session import Session
from proxy.stores.base import Store
from tests.harness.ledger import Call, after, decision, session, settled


async def test_a_refusal_is_recorded_as_it_was_decided(store: Store) -> None:
    """Every field comes back, of a caller without a session too."""
    given = decision(
        "d1",
        verdict="deny",
        session=session("", agent=""),
        reasons=(Reason("default-deny", "No rule."), Reason("killed", "é")),
        dry_run=True,
        epoch=7,
        at=after(0.000001),
    )
    await store.record(given)
    assert await store.decisions(10, ("*",)) == (given,)


async def test_a_decision_has_one_record(store: Store, opened: Session) -> None:
    """Recording it again, even differently, changes nothing; a reserved one is recorded already."""
    await store.record(decision("d1"))
    await store.record(decision("d1", verdict="deny"))
    await store.reserve(Call().reservation())
    await store.record(decision("dec-stp1", verdict="deny"))
    records = await store.decisions(10, ("*",))
    assert [(one.decision_id, one.verdict) for one in records] == [
        ("dec-stp1", "allow"), ("d1", "allow"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tenants", "expected"),
    [
        (("*",), ["d5", "d4", "d3", "d2"]),
        (("a",), ["d3", "d0"]),
        (("a", "b"), ["d4", "d3", "d1", "d0"]),
        (("b", "b"), ["d4", "d1"]),
        (("c", "nobody"), ["d5", "d2"]),
        ((), []),
    ],
)
async def test_tenants_see_their_own_records(
    store: Store, tenants: tuple[str, ...], expected: list[str]
) -> None:
    """Newest first, at most as many as asked for; no tenant, no record."""
    for n in range(6):
        await store.record(decision(f"d{n}", tenant="abc"[n % 3]))
    assert [one.decision_id for one in await store.decisions(4, tenants)] == expected


@pytest.mark.parametrize(
    ("session_id", "states", "expected"),
    [
        (None, (), ["s5", "s4", "s3", "s2"]),
        ("ses1", (), ["s4", "s2", "s0"]),
        (None, ("intent", "sending"), ["s1", "s0"]),
        (None, ("unknown",), ["s4", "s2"]),
        ("ses1", ("unknown", "intent"), ["s4", "s2", "s0"]),
        (None, ("done", "intent"), ["s5", "s3", "s0"]),
        ("ses2", ("done",), ["s5", "s3"]),
        ("ses3", (), []),
    ],
)
async def test_steps_are_listed_by_session_and_state(
    store: Store, session_id: str | None, states: tuple[str, ...], expected: list[str]
) -> None:
    """Newest first, at most as many as asked for."""
    owners = [await store.open_session(session(f"ses{n}"), None, 10) for n in (1, 2)]
    for n in range(6):
        await store.reserve(Call(f"s{n}", owners[n % 2], risk=1).reservation())
    await store.mark_sending("s1")
    for step in ("s3", "s5"):
        await store.settle(settled(step))
    for step in ("s2", "s4"):
        await store.settle(settled(step, IntentState.UNKNOWN))
    listed = await store.steps(session_id, states, 4)
    assert [step.intent.step_id for step in listed] == expected


@pytest.mark.parametrize("states", [(), ("intent",), ("intent", "done")])
@pytest.mark.parametrize("session_id", [None, "ses0"])
async def test_steps_are_listed_by_tenant(
    store: Store, session_id: str | None, states: tuple[str, ...]
) -> None:
    """Rows of others neither show nor use up the limit, whatever else is asked for."""
    owners = [
        await store.open_session(session(f"ses{n}", tenant=tenant), None, 10)
        for n, tenant in enumerate(("acme", "globex"))
    ]
    for n in range(4):
        await store.reserve(Call(f"s{n}", owners[n % 2], risk=1).reservation())
    for tenants, expected in (
        (("acme",), ["s2", "s0"]),
        (("globex",), [] if session_id else ["s3", "s1"]),
        ((), []),
    ):
        listed = await store.steps(session_id, states, 2, tenants)
        assert [step.intent.step_id for step in listed] == expected
