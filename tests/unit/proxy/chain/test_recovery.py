import asyncio

import pytest

from proxy.chain.guarded import Found, Told
from proxy.chain.recovery import Listeners, RecoveryTask, Terms
from proxy.model.ledger import IntentState
from proxy.model.recovery import Take
from proxy.model.tool import Effect, Recovery
from tests.harness.ledger import Call, after, session, settled
from tests.harness.recovering import Bench

UNKNOWN, DONE, STUCK = IntentState.UNKNOWN, IntentState.DONE, IntentState.STUCK
ABORTED, FAILED = IntentState.ABORTED, IntentState.FAILED
PROBE, KEY, OPAQUE = Recovery.PROBE, Recovery.IDEMPOTENCY_KEY, Recovery.OPAQUE
QUIET = 6.0  # a second of the crash, and five of the tool's time limit


async def test_an_opaque_step_is_stuck_once_it_is_quiet(bench: Bench) -> None:
    """Nobody is asked anything, and a person is told."""
    await bench.left(OPAQUE)
    assert await bench.look(QUIET - 0.1) is UNKNOWN
    assert await bench.look(QUIET) is STUCK
    assert (bench.tool.asked, bench.settled) == ([], [("stp1", "stuck", "opaque")])
    await bench.look(QUIET)
    assert bench.counts[-1] == (0, 1)


async def test_an_opaque_step_that_was_never_sent_is_aborted_at_once(bench: Bench) -> None:
    """Its state proves it."""
    await bench.left(OPAQUE, sent=False)
    assert await bench.look(1.0) is ABORTED
    assert bench.settled == [("stp1", "aborted", "never-dispatched")]


@pytest.mark.parametrize("recovery", [PROBE, KEY])
async def test_an_intent_of_another_class_proves_nothing(bench: Bench, recovery: Recovery) -> None:
    """Its tool may have it: nothing durable is written before the send."""
    await bench.left(recovery, sent=False)
    assert await bench.look(1.0) is UNKNOWN


@pytest.mark.parametrize(("recovery", "asked"), [(PROBE, ["probe stp1"]), (KEY, ["again stp1 me"])])
@pytest.mark.parametrize(
    ("found", "state"),
    [(Found.DONE, DONE), (Found.FAILED, FAILED), (Found.ABSENT, ABORTED), (Found.REFUSED, STUCK)],
)
async def test_what_the_tool_says_is_what_the_step_becomes(
    bench: Bench, recovery: Recovery, asked: list[str], found: Found, state: IntentState
) -> None:
    """Asked by its class, once, and never before it is quiet."""
    await bench.left(recovery)
    bench.tool.told = Told(found, "because")
    await bench.look(QUIET - 0.1)
    assert bench.tool.asked == []
    assert await bench.look(QUIET) is state
    assert (bench.tool.asked, bench.settled) == (asked, [("stp1", state.value, "because")])


@pytest.mark.parametrize(("found", "within_s"), [(Found.SILENT, 1.0), (Found.NOT_NOW, 2.0)])
async def test_a_tool_that_does_not_tell_is_asked_until_the_bound(
    bench: Bench, found: Found, within_s: float
) -> None:
    """Then it is stuck: 30 s after the crash, as long as it was quiet before."""
    await bench.left(PROBE)
    bench.tool.told = Told(found, "because")
    assert await bench.look(QUIET) is UNKNOWN
    assert await bench.look(QUIET + within_s - 0.1) is UNKNOWN
    assert len(bench.tool.asked) == 1
    assert await bench.look(QUIET + within_s) is UNKNOWN
    assert len(bench.tool.asked) == 2
    assert await bench.look(31.0) is STUCK


async def test_time_that_nobody_tried_in_gives_nothing_up(bench: Bench) -> None:
    """After a long outage the tool, too, may need a moment."""
    await bench.left(PROBE)
    bench.tool.told = Told(Found.SILENT, "because")
    assert await bench.look(100.0) is UNKNOWN
    assert await bench.look(101.0) is UNKNOWN
    assert await bench.look(103.0) is STUCK
    assert len(bench.tool.asked) == 3


async def test_a_step_that_somebody_else_has_is_left_to_them(bench: Bench) -> None:
    """Until what we took it for is over."""
    await bench.left(KEY)
    bench.tool.told = Told(Found.LOST)
    assert await bench.look(QUIET) is UNKNOWN
    assert bench.settled == []


async def test_a_step_that_was_settled_meanwhile_is_not_told(bench: Bench) -> None:
    """Its owner was there after all."""
    await bench.left(PROBE)
    taken = await bench.store.take_unsettled(Take("me", after(QUIET), after(99), 0.0))
    await bench.store.settle(settled())
    await bench.recovery._conclude(taken[0], Told(Found.ABSENT))
    assert (await bench.state(), bench.settled) == (DONE, [])


@pytest.mark.parametrize(("left", "state"), [(True, ABORTED), (False, DONE)])
async def test_a_read_has_nothing_to_look_for(bench: Bench, left: bool, state: IntentState) -> None:
    """One that its own gateway sent is done with; of a gone one nobody has an answer."""
    await bench.left(OPAQUE, Effect.READ)
    if not left:
        await bench.store.settle(settled(state=UNKNOWN, at=after(1)))
    assert await bench.look(QUIET) is state
    assert bench.tool.asked == []


async def test_an_orphan_credential_is_revoked_before_anything_else(bench: Bench) -> None:
    """What is dead does not have to be waited for."""
    await bench.left(PROBE, credential=True)
    await bench.look(2.0)
    assert bench.broker.revoked == [("jwt", "lease-stp1")]
    assert await bench.look(QUIET) is DONE
    assert len(bench.broker.revoked) == 1


async def test_a_credential_nobody_can_revoke_is_waited_for(bench: Bench) -> None:
    """It ends by itself, 30 s after the call."""
    bench.broker.confirms = False
    await bench.left(PROBE, credential=True)
    assert await bench.look(QUIET) is UNKNOWN
    assert await bench.look(29.9) is UNKNOWN
    assert bench.tool.asked == []
    assert await bench.look(30.0) is DONE


@pytest.mark.parametrize(
    ("told", "kept"),
    [(Told(Found.DONE), b'"stp1 done"'), (Told(Found.DONE, "", b'{"a":1}'), b'{"a":1}')],
)
async def test_a_key_gets_an_answer_to_replay(bench: Bench, told: Told, kept: bytes) -> None:
    """That of the tool where there is one."""
    await bench.left(KEY, key="k1", credential=True)
    bench.tool.told = told
    await bench.look(QUIET)
    again = await bench.store.reserve(Call("stp2", key="k1").reservation())
    assert again.answer == kept


async def test_a_tool_that_never_answers_is_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own time with a step has an end."""
    await bench.left(PROBE)
    monkeypatch.setattr("proxy.chain.recovery.CLAIM_S", -4.99)

    async def probe(_step: object) -> Told:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(bench.tool, "probe", probe)
    bench.now_s = QUIET
    (step,) = await bench.store.take_unsettled(Take("me", after(QUIET), after(99), 0.0))
    await bench.recovery._settle(step)
    assert await bench.state() is UNKNOWN


async def test_a_ledger_that_fails_while_a_tool_is_asked_is_looked_at_again(
    bench: Bench,
) -> None:
    """When our claim has ended."""
    await bench.left(PROBE)
    bench.tool.fails = True
    assert await bench.look(QUIET) is UNKNOWN
    bench.tool.fails = False
    assert await bench.look(QUIET + 15) is DONE


async def test_sidecars_that_are_gone_leave_their_steps_to_us(bench: Bench) -> None:
    """Those that live keep theirs."""
    await bench.store.open()
    await bench.store.open_session(session(), None, 10)
    asked = Call().reservation()
    object.__setattr__(asked.intent, "holder", "pod/hld_1")
    object.__setattr__(asked, "intent", asked.intent)
    await bench.store.reserve(asked)
    bench.recovery = RecoveryTask(
        bench.store,
        bench.tool,
        bench.broker,
        Terms("me", gone_after_s=0.0),
        Listeners(found=lambda rows: bench.found.extend(row.intent.step_id for row in rows)),
        bench.clock,
    )
    await bench.look(2.0)
    assert bench.found == ["stp1"]


async def test_it_looks_until_it_is_stopped(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Also when the ledger cannot be read for a while."""
    task = asyncio.create_task(bench.recovery.run())
    while "cannot be recovered now" not in caplog.text:
        await asyncio.sleep(0.001)
    await bench.left(OPAQUE, sent=False)
    while await bench.state() is not ABORTED:
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_no_more_is_taken_than_can_be_worked_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is for others, or for later."""
    monkeypatch.setattr("proxy.chain.recovery.AT_ONCE", 0)
    await bench.left(OPAQUE, sent=False)
    assert await bench.look(QUIET) is UNKNOWN


async def test_stopping_lets_go_of_what_is_under_way(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claim ends by itself."""
    await bench.left(PROBE)
    begun = asyncio.Event()

    async def probe(_step: object) -> Told:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(bench.tool, "probe", probe)
    bench.now_s = QUIET
    await bench.recovery.look()
    await begun.wait()
    await bench.recovery.stop()
    assert await bench.state() is UNKNOWN
