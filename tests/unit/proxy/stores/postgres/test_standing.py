from collections.abc import Sequence
from typing import Any

import pytest

from proxy.errors import StoreUnavailable
from proxy.stores.postgres import Address, standing
from proxy.stores.postgres.standing import Standing, connections_of, standing_of


async def test_a_server_tells_what_it_promises(address: Address) -> None:
    """The one the tests run on forgets what it wrote when the machine stops, and has no standby."""
    told = await standing_of(address)
    assert (told.synchronous, told.standbys, told.is_durable) == ("", 0, False)
    assert 100 < told.max_connections < 120


async def test_a_server_that_does_not_tell_is_unavailable(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is closed all the same."""
    closed: list[Any] = []

    class Mute:
        async def fetch(self, _: str) -> Sequence[Any]:
            raise TimeoutError

    async def connect(_: Address) -> Any:
        return Mute()

    async def goodbye(connection: Any) -> None:
        closed.append(connection)

    monkeypatch.setattr(standing, "connect", connect)
    monkeypatch.setattr(standing, "goodbye", goodbye)
    with pytest.raises(StoreUnavailable):
        await standing_of(address)
    assert len(closed) == 1


def test_a_standing_is_read_from_a_row() -> None:
    """In the order of the statement."""
    assert standing._standing(("*", 2, True, 97)) == Standing("*", 2, True, 97)


def test_a_process_has_connections_of_several_kinds() -> None:
    """For calls, for kills, and one that listens."""
    assert connections_of(Address.parse("postgresql://u@h/d?connections=4")) == 14
