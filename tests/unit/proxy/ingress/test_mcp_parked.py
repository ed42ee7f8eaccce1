import asyncio

import pytest

from proxy.ingress.mcp_conversation import Client, RoundsEnd
from proxy.ingress.mcp_parked import Held, Owner, ParkedCalls, ParkingLimits
from proxy.ingress.streams import Outlet
from proxy.model.call import Door, ToolCall
from proxy.model.mcp import Era
from proxy.model.step import Answer
from tests.harness.asgi import Connection

CALL = ToolCall("rec", "write", b"{}", Door.MCP)
LOOP, OTHER = ("acme", "loop"), ("acme", "other")


async def forever() -> Answer:
    await asyncio.Event().wait()
    raise AssertionError


def held(owner: Owner = LOOP) -> Held:
    connection = Connection()
    outlet = Outlet(connection.receive, connection.send, streams=True)
    end = RoundsEnd(Client(Era.STATELESS, "ses"), outlet)
    return Held(owner, CALL, asyncio.create_task(forever()), end)


async def test_a_parked_call_is_taken_once() -> None:
    """Under an id that cannot be guessed."""
    parked, call = ParkedCalls(), held()
    parked_id = parked.park(call)
    assert parked_id is not None
    assert parked.take("prk_x") is None
    assert parked.take(parked_id) is call
    assert parked.take(parked_id) is None
    assert not call.task.done()


@pytest.mark.parametrize(
    ("limits", "first", "second"),
    [(ParkingLimits(per_principal=1), LOOP, LOOP), (ParkingLimits(total=1), LOOP, OTHER)],
)
async def test_only_so_many_wait(limits: ParkingLimits, first: Owner, second: Owner) -> None:
    """Of one principal, and of all; others of a principal's do not count for it."""
    parked = ParkedCalls(limits)
    assert parked.park(held(first))
    assert parked.park(held(second)) is None


async def test_another_principal_has_its_own_room() -> None:
    """One cannot fill the place of another."""
    parked = ParkedCalls(ParkingLimits(per_principal=1))
    assert parked.park(held(LOOP))
    assert parked.park(held(OTHER))


async def test_a_call_nobody_comes_back_for_is_cancelled() -> None:
    """In time; one that was taken is not."""
    parked = ParkedCalls(ParkingLimits(wait_s=0.01))
    left, taken = held(), held()
    parked.park(left)
    parked.take(parked.park(taken) or "")
    await asyncio.sleep(0.05)
    assert (left.task.cancelled(), taken.task.done()) == (True, False)
