import asyncio
import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.call import Door, ToolCall
from proxy.model.ledger import Outcome, Reserved, ReserveStatus
from proxy.model.step import Step
from proxy.pipeline.reserve import REFUSED_AS, _replayed, decided


async def test_the_intent_is_durable_before_the_call_is_sent(house: Any) -> None:
    """When the tool hears of the call, the ledger already knows it (I7)."""
    seen: list[int] = []

    def look() -> None:
        count = "SELECT count(*) FROM steps"
        with sqlite3.connect(house.store._database._path) as reader:
            seen.append(reader.execute(count).fetchone()[0])

    house.tool.before_send = look
    await house.call()
    assert seen == [1]


async def test_a_replayed_key_is_answered_and_not_sent_again(house: Any) -> None:
    """Same key, same request: the stored answer (I11)."""
    first = await house.call(idempotency_key="k1")
    second = await house.call(idempotency_key="k1")
    assert len(house.tool.received) == 1
    assert second.step_id == first.step_id
    assert len(await house.store.decisions(10, ("*",))) == 2
    assert json.loads(second.result) == json.loads(first.result)


async def test_a_key_used_for_another_request_is_refused(house: Any) -> None:
    """422: the key is bound to its request."""
    await house.call(idempotency_key="k1")
    answer = await house.call(idempotency_key="k1", arguments={"path": "b"})
    assert (answer.reasons[0].id, answer.http) == ("idempotency-key-reused", 422)


async def test_a_key_whose_call_is_running_is_refused(house: Any) -> None:
    """409 until the first one has ended."""
    house.tool.hang_after = asyncio.Event()
    first = asyncio.create_task(house.call(idempotency_key="k1"))
    while not house.tool.received:
        await asyncio.sleep(0.001)
    answer = await house.call(idempotency_key="k1")
    assert (answer.reasons[0].id, answer.http) == ("idempotency-key-in-use", 409)
    house.tool.hang_after.set()
    assert (await first).outcome is Outcome.DONE


async def test_a_budget_is_never_overdrawn(house: Any) -> None:
    """100 points, 5 a call: the 21st is refused by the ledger, whatever the policy saw."""
    answers = await asyncio.gather(*(house.call() for _ in range(25)))
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count(Outcome.DONE) == 20
    refused = {answer.reasons[0].id for answer in answers if answer.outcome is Outcome.DENIED}
    assert refused == {"budget-exhausted"}
    assert len(house.tool.received) == 20


async def test_a_lock_set_meanwhile_is_seen_in_the_transaction(house: Any) -> None:
    """Locked between admission and reserve."""
    await house.caller()
    decide = house.engine.query

    async def lock_then_decide(*given: Any) -> Any:
        await house.store.lock_agent("acme", "loop", "canary", datetime.now(UTC))
        return await decide(*given)

    house.engine.query = lock_then_decide
    assert (await house.call()).reasons[0].id == "agent-locked"
    assert house.tool.received == []


async def test_a_session_that_ended_meanwhile_is_refused_in_the_transaction(house: Any) -> None:
    """Ended between authentication and reserve: nothing is sent."""
    caller = await house.caller()
    await house.store.end_session(caller.session.id, datetime.now(UTC))
    call = ToolCall("repo", "write_file", b'{"path":"a"}', Door.CALLS)
    answer = await house.pipeline.run(caller, call)
    assert answer.reasons[0].id == "session-closed"
    assert house.tool.received == []


def test_every_status_that_refuses_has_its_reason() -> None:
    """Only RESERVED goes on and only REPLAY answers."""
    goes_on = {ReserveStatus.RESERVED, ReserveStatus.REPLAY}
    assert set(REFUSED_AS) == set(ReserveStatus) - goes_on


def test_a_replay_without_a_stored_answer_is_still_running() -> None:
    """An unknown outcome is never executed again."""
    with pytest.raises(Refused, match="idempotency-key-in-use"):
        _replayed(Reserved(ReserveStatus.REPLAY))


async def test_an_undecided_step_cannot_be_reserved(house: Any) -> None:
    """There is no manifest and no decision to write down."""
    caller = await house.caller()
    call = ToolCall("repo", "read_file", b"{}", Door.CALLS)
    with pytest.raises(Refused):
        decided(Step("stp", call, caller.principal, caller.session, 0, caller.session.mode))
