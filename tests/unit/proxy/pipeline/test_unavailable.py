from typing import Any

import pytest

from proxy.errors import StoreUnavailable
from proxy.model.ledger import Outcome


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
