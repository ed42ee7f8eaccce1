import asyncio

import pytest

from proxy.killswitch.inflight import InFlight
from proxy.model.kill import GLOBAL, KillVerdict, Scope, ScopeKind

AGENT = Scope(ScopeKind.AGENT, "acme/loop")
OTHER = Scope(ScopeKind.AGENT, "acme/other")


async def test_a_kill_cancels_a_covered_call_and_the_call_takes_it_back() -> None:
    """The task that was cut goes on after absorb, as if nothing had been cancelled."""
    flights = InFlight()

    async def call() -> str:
        with flights.track("stp_1", [GLOBAL, AGENT]) as flight:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                assert flight.absorb()
            await asyncio.sleep(0)
            return "answered"

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    assert [flight.step_id for flight in flights.cut([AGENT], "kil_1")] == ["stp_1"]
    assert await task == "answered"
    assert len(flights) == 0


async def test_a_kill_of_another_agent_leaves_the_call_alone() -> None:
    """Only covered calls are cut."""
    flights = InFlight()
    with flights.track("stp_1", [AGENT]):
        assert flights.cut([OTHER], "kil_1") == ()
        await asyncio.sleep(0)


async def test_a_call_being_settled_is_noted_but_not_cut() -> None:
    """Settling goes on to its end, whatever is killed meanwhile."""
    flights = InFlight()
    with flights.track("stp_1", [AGENT]) as flight:
        flight.settling()
        flights.cut([AGENT], "kil_1")
        await asyncio.sleep(0)
        assert flight.killed_by == ["kil_1"]


async def test_a_second_kill_does_not_cancel_twice() -> None:
    """One cancellation is taken back once."""
    flights = InFlight()
    with flights.track("stp_1", [AGENT]) as flight:
        flights.cut([AGENT], "kil_1")
        flights.cut([AGENT], "kil_2")
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        assert flight.absorb()
        await asyncio.sleep(0)
        assert flight.killed_by == ["kil_1", "kil_2"]


async def test_at_the_end_of_a_drain_every_call_is_cut_once() -> None:
    """Taken back like a kill; a kill that comes later is the cause, and cancels nothing more."""
    flights = InFlight()
    with flights.track("stp_1", [AGENT]) as flight:
        flights.give_up()
        flights.give_up()
        assert flight.cause == "draining"
        flights.cut([AGENT], "kil_1")
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        assert flight.absorb()
        await asyncio.sleep(0)
        assert flight.cause == "killed"


async def test_a_call_being_settled_is_not_given_up() -> None:
    """What the tool has answered is written down."""
    flights = InFlight()
    with flights.track("stp_1", [AGENT]) as flight:
        flight.settling()
        flights.give_up()
        await asyncio.sleep(0)
        assert not flight.absorb()


async def test_a_client_that_goes_away_is_not_a_kill() -> None:
    """Absorb takes back nothing when no kill was there."""
    flights = InFlight()
    with flights.track("stp_1", [AGENT]) as flight:
        assert not flight.absorb()


async def test_a_kill_and_a_client_gone_at_once_end_the_task() -> None:
    """Absorb takes back the kill's cancellation only."""
    flights = InFlight()
    task = asyncio.current_task()
    assert task is not None
    with flights.track("stp_1", [AGENT]) as flight:
        flights.cut([AGENT], "kil_1")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        assert not flight.absorb()
        task.uncancel()


async def test_landed_waits_for_the_last_call() -> None:
    """A drain ends when the last of several calls has ended."""
    flights = InFlight()
    await flights.landed()
    with flights.track("stp_1", [AGENT]):
        with flights.track("stp_2", [AGENT]):
            pass
        waiting = asyncio.ensure_future(flights.landed())
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def test_streams_under_the_scope_are_told_to_close() -> None:
    """Only covered streams close; the others stay."""
    flights = InFlight()
    with flights.stream([GLOBAL, AGENT]) as closing, flights.stream([GLOBAL, OTHER]) as staying:
        flights.cut([AGENT], "kil_1")
        assert closing.is_set()
        assert not staying.is_set()
        flights.close_streams()
        assert staying.is_set()


@pytest.mark.parametrize(
    ("sent", "known", "verdict"),
    [
        (False, None, KillVerdict.NEVER_DISPATCHED),
        (True, None, KillVerdict.UNKNOWN),
        (True, KillVerdict.DONE, KillVerdict.DONE),
    ],
)
async def test_the_first_verdict_is_what_is_known(
    sent: bool, known: KillVerdict | None, verdict: KillVerdict
) -> None:
    """A call that left is unknown until it has landed."""
    flights = InFlight()
    with flights.track("stp_1", [AGENT]) as flight:
        flight.sent, flight.verdict = sent, known
        assert flight.in_doubt() is verdict


async def test_a_call_needs_a_task() -> None:
    """In a bare callback there is nothing that could be cut."""
    done = asyncio.get_running_loop().create_future()

    def callback() -> None:
        try:
            with InFlight().track("stp_1", [AGENT]):
                done.set_result(None)
        except RuntimeError as error:
            done.set_exception(error)

    asyncio.get_running_loop().call_soon(callback)
    with pytest.raises(RuntimeError):
        await done
