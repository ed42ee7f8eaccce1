from typing import Any

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.ledger import IntentState, Outcome


@pytest.mark.parametrize("method", ["reserve", "record", "mark_sending"])
async def test_a_ledger_that_cannot_be_written_stops_the_call(house: Any, method: str) -> None:
    """Nothing is sent when it could not be written down first."""

    async def fail(*given: Any) -> None:
        raise StoreUnavailable("disk full")

    setattr(house.store, method, fail)
    answer = await house.call("mystery" if method == "record" else "read_file")
    assert (answer.reasons[0].id, answer.http) == ("store-unavailable", 503)
    assert answer.outcome is Outcome.DENIED
    assert house.tool.received == []


async def test_a_reservation_that_was_written_all_the_same_is_closed(house: Any) -> None:
    """The ledger took it, and was gone before it could say so: nothing is sent, nothing stays."""
    reserve = house.store.reserve

    async def written_but_unsaid(reservation: Any) -> None:
        await reserve(reservation)
        raise StoreUnavailable("connection lost")

    house.store.reserve = written_but_unsaid
    answer = await house.call()
    assert (answer.reasons[0].id, house.tool.received) == ("store-unavailable", [])
    (row,) = await house.store.steps(None, (), 10)
    assert (row.state, row.detail) == (IntentState.FAILED, "never dispatched")
