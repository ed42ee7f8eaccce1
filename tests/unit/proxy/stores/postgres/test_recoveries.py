"""Open steps are found by the index of unsettled ones, and asked for in one statement."""

import asyncio
import json

from proxy.model.kill import GLOBAL
from proxy.model.recovery import Resumption, Take
from proxy.stores.postgres import Address, PostgresStore
from proxy.stores.postgres.recoveries import _COVERED, _TAKE, _resumption
from tests.harness.ledger import NOW, Call, after, session, settled
from tests.harness.plans import Plan


async def test_a_look_costs_what_is_open(plan: Plan) -> None:
    """Every few seconds, by every replica."""
    for sql, parameters in ((_TAKE, 5), (_COVERED, 7)):
        explained = await plan(sql, parameters)
        assert "steps_unsettled" in explained
        assert "Seq Scan on steps" not in explained


def test_a_resumption_is_asked_for_as_a_reservation_is() -> None:
    """Without points, without an approval; a credential only when there is one."""
    asked = Resumption("stp1", "me", "acme", "loop", "ses1", (GLOBAL,), 3, NOW)
    told = json.loads(_resumption(asked))
    assert (told["holds"], told["approval"], told["credential"]) == ([], None, None)
    assert (told["scopes"], told["taken_by"], told["epoch"]) == (["global:"], "me", 3)


async def test_a_step_is_taken_by_one_replica(address: Address, store: PostgresStore) -> None:
    """However many look at once."""
    await store.open_session(session(), None, 10)
    for n in range(20):
        await store.reserve(Call(f"s{n}", risk=1).reservation())
        await store.settle(settled(f"s{n}", state="unknown"))  # type: ignore[arg-type]  # a StrEnum
    other = PostgresStore(address)
    await other.open()
    taking = [
        one.take_unsettled(Take(f"by{n}", after(1), after(60), 0.0, limit=5))
        for n in range(4)
        for one in (store, other)
    ]
    taken = [step.id for steps in await asyncio.gather(*taking) for step in steps]
    await other.close()
    assert len(taken) == len(set(taken)) == 20
