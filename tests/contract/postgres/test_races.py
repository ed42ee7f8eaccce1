"""Races between replicas, forced: budgets (I10), kills and intents (I9), keys (I11), approvals."""

import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.kill import Scope, ScopeKind
from proxy.model.ledger import Hold, IntentState, ReserveStatus
from proxy.model.session import BudgetView
from proxy.stores.postgres import PostgresStore
from tests.harness.approving import question, reservation, ruling
from tests.harness.ledger import LIMITS, NOW, Call, after, kill, session, settled
from tests.harness.postgres import Server, database_of

Stores = list[PostgresStore]
PARALLEL = 200
ROUNDS = [
    pytest.param(25, id="sample"),
    pytest.param(500, id="whole", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
]
# What `reserve` would be without the lock it shares with others: the checks are all there.
SLOWLY = """
CREATE OR REPLACE FUNCTION detent.refused_after_a_while(asked jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE why text := detent.refused(asked);
BEGIN PERFORM pg_sleep(0.02); RETURN why; END $$
"""
WITHOUT_THE_LOCK = """
DO $do$ BEGIN EXECUTE replace(replace(
    pg_get_functiondef('detent.reserve'::regproc),
    'PERFORM pg_advisory_xact_lock_shared(8740, 0);', ''),
    ':= refused(asked)', ':= detent.refused_after_a_while(asked)'); END $do$
"""


@pytest.mark.parametrize(
    "repetitions",
    [3, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
    ids=["sample", "whole"],
)
async def test_room_for_one_is_given_to_one(stores: Stores, repetitions: int) -> None:
    """Of 200 calls at once over three replicas; each time another session."""
    for n in range(repetitions):
        owner = session(f"ses{n}", f"agent{n}", risk_limit=5)
        await stores[0].open_session(owner, None, 10)
        calls = [Call(f"stp{n}-{m}", owner, risk=5) for m in range(PARALLEL)]
        got = await asyncio.gather(
            *(stores[m % 3].reserve(call.reservation()) for m, call in enumerate(calls))
        )
        found = Counter(one.status for one in got)
        assert found == {
            ReserveStatus.RESERVED: 1,
            ReserveStatus.BUDGET_EXHAUSTED: PARALLEL - 1,
        }
        assert (await stores[1].view(owner, LIMITS, NOW)).budget == BudgetView(5, 0, 5)


async def test_an_account_that_agents_share_has_room_for_one(stores: Stores) -> None:
    """Nothing but its row makes them queue, and it is new."""
    owners = [session(f"ses{n}", f"agent{n}") for n in range(30)]
    for owner in owners:
        await stores[0].open_session(owner, None, 10)
    shared = (Hold("tenant:acme", 5, 5), Hold("tenant:acme/hour", 5, 5, 3600))
    got = await asyncio.gather(
        *(
            stores[n % 3].reserve(replace(Call(f"stp{n}", owner).reservation(), holds=shared))
            for n, owner in enumerate(owners)
        )
    )
    assert Counter(one.status for one in got)[ReserveStatus.RESERVED] == 1


async def late_intents(stores: Stores, rounds: int) -> int:
    """Kill scopes nobody has seen while intents are written; count those the kill missed.

    An intent that comes after a kill has a higher `seq` than those the killer could see when its
    kill was answered.
    """
    late = 0
    for n in range(rounds):
        owner = session(f"ses{n}", f"agent{n}")
        await stores[0].open_session(owner, None, 10)
        scope = Scope(*((ScopeKind.SESSION, owner.id), (ScopeKind.AGENT, f"acme/agent{n}"))[n % 2])
        calls = [Call(f"stp{n}-{m}", owner, risk=1, epoch=n) for m in range(6)]
        reserving = [
            asyncio.create_task(stores[m % 2].reserve(call.reservation()))
            for m, call in enumerate(calls)
        ]
        await asyncio.sleep(random.random() * 0.006)
        await stores[2].append_kill(kill(f"ord{n}", scope))
        at_kill = {step.intent.step_id for step in await stores[2].steps(owner.id, (), 10)}
        await asyncio.gather(*reserving)
        in_the_end = {step.intent.step_id for step in await stores[2].steps(owner.id, (), 10)}
        late += len(in_the_end - at_kill)
    return late


@pytest.mark.parametrize("rounds", ROUNDS)
async def test_no_intent_commits_after_a_kill_that_covers_it(stores: Stores, rounds: int) -> None:
    """Scopes never seen before, so no row could be locked."""
    assert await late_intents(stores, rounds) == 0


async def test_without_the_lock_intents_slip_through(
    postgres: Server, url: str, stores: Stores
) -> None:
    """The test above finds what it looks for."""
    await postgres.execute(database_of(url), SLOWLY, WITHOUT_THE_LOCK)
    assert await late_intents(stores, 10) > 0


async def test_of_many_with_one_key_one_reserves(stores: Stores) -> None:
    """Over three replicas: one step, the others are told to wait."""
    owner = await stores[0].open_session(session(), None, 10)
    calls = [Call(f"stp{n}", owner, key="k") for n in range(30)]
    got = await asyncio.gather(
        *(stores[n % 3].reserve(call.reservation()) for n, call in enumerate(calls))
    )
    found = Counter(one.status for one in got)
    assert found == {ReserveStatus.RESERVED: 1, ReserveStatus.RUNNING: 29}


async def test_an_approval_is_used_by_one_replica(stores: Stores) -> None:
    """Asked on one, given on another, used once."""
    await stores[0].open_session(session(), None, 10)
    asked = question()
    await asyncio.gather(*(store.ask_approval(asked, 5) for store in stores))
    ruled = await asyncio.gather(*(store.rule_approval(ruling()) for store in stores))
    assert sorted(ruled) == [False, False, True]
    calls = [Call(f"stp{n}", at=after(2)) for n in range(15)]
    got = await asyncio.gather(
        *(stores[n % 3].reserve(reservation(asked, call)) for n, call in enumerate(calls))
    )
    assert Counter(one.status for one in got)[ReserveStatus.RESERVED] == 1


async def test_steps_are_numbered_without_gaps_over_replicas(stores: Stores) -> None:
    """Fifty at once are 1 to 50."""
    owner = await stores[0].open_session(session(), None, 10)
    got = await asyncio.gather(
        *(stores[n % 3].reserve(Call(f"s{n}", owner, risk=1).reservation()) for n in range(50))
    )
    assert sorted(one.number for one in got) == list(range(1, 51))


async def test_an_agent_has_one_implicit_session_and_so_many_others(stores: Stores) -> None:
    """However many replicas open them at once."""
    implicit = [session(f"imp{n}", implicit=True) for n in range(9)]
    got = await asyncio.gather(
        *(stores[n % 3].open_session(one, None, 2) for n, one in enumerate(implicit))
    )
    assert len({one.id for one in got}) == 1
    others = await asyncio.gather(
        *(stores[n % 3].open_session(session(f"ses{n}"), None, 2) for n in range(9)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, BaseException) for one in others) == 2


async def test_after_an_agent_is_locked_none_of_its_intents_commits(stores: Stores) -> None:
    """Reservations under way are done before the lock is answered."""
    owner = await stores[0].open_session(session(), None, 10)
    reserving = [
        asyncio.create_task(stores[n % 2].reserve(Call(f"s{n}", owner, risk=1).reservation()))
        for n in range(20)
    ]
    await asyncio.sleep(0.003)
    await stores[2].lock_agent("acme", "loop", "canary", NOW)
    at_lock = await stores[2].steps(owner.id, (), 50)
    await asyncio.gather(*reserving)
    assert await stores[2].steps(owner.id, (), 50) == at_lock


async def test_one_bad_reservation_spoils_no_other(stores: Stores) -> None:
    """Those that shared its batch go through; it alone is refused."""
    owner = await stores[0].open_session(session(), None, 10)
    await stores[0].reserve(Call("twice", owner, risk=1).reservation())
    names = ["twice", *(f"s{n}" for n in range(8))]
    got = await asyncio.gather(
        *(stores[0].reserve(Call(name, owner, risk=1).reservation()) for name in names),
        return_exceptions=True,
    )
    assert isinstance(got[0], StoreUnavailable)
    assert [one for one in got[1:] if isinstance(one, BaseException)] == []


async def test_points_add_up_whatever_happens_at_once(stores: Stores) -> None:
    """Reserved on one replica, settled on another, in batches of several agents."""
    owners = [session(f"ses{n}", f"agent{n}", risk_limit=10**6) for n in range(5)]
    for owner in owners:
        await stores[0].open_session(owner, None, 10)
    outcomes = (IntentState.DONE, IntentState.FAILED, IntentState.UNKNOWN)

    async def one_call(n: int) -> None:
        call = Call(f"stp{n}", owners[n % 5], risk=1, agent_limit=10**6)
        await stores[n % 3].reserve(call.reservation())
        await stores[(n + 1) % 3].settle(settled(call.step, outcomes[n % 15 // 5]))

    await asyncio.gather(*(one_call(n) for n in range(300)))
    for owner in owners:
        view = await stores[0].view(owner, LIMITS, NOW)
        assert view.budget == BudgetView(10**6, used=20, held=20)
        assert (view.agent_budget.used, view.agent_budget.held) == (20, 20)
