"""Planted faults: kills that do not hold (I1, I5, I6, I9, I17)."""

from dataclasses import replace

from proxy.model.kill import KillAction, KillVerdict
from tests.history.lookups import Steps
from tests.history.planting import Bed
from tests.history.records import Arrival, Credential, Residual, Stream, Verdict
from tests.history.told import History


def i1_late_start(bed: Bed) -> History:
    """A process lets a call start 3.1 s after a kill that covers it."""
    _, start, kill, committed = bed.covered()
    late = replace(start, at=committed + 3.1, write_at=None, until=1e9)
    return bed.then(bed.plus("kills", kill)).plus("starts", late)


def i1_late_arrival(bed: Bed) -> History:
    """A tool gets a call long after a kill that covers it."""
    step, _, kill, committed = bed.covered()
    late = Arrival(committed + bed.chance.uniform(3.3, 30), step.marker, step.subject.tool)
    return bed.then(bed.plus("kills", kill)).plus("arrivals", late)


def i1_late_although_lifted(bed: Bed) -> History:
    """A call that was admitted before a kill starts after its lift."""
    _, start, kill, committed = bed.covered()
    lift = replace(
        kill, asked_at=committed + 1, action=KillAction.LIFT, lifts=kill.epoch, epoch=999
    )
    late = replace(start, at=committed + 5, write_at=None, until=1e9)
    return bed.then(bed.plus("kills", kill, lift)).plus("starts", late)


def i1_paused_for_less_than_d(bed: Bed) -> History:
    """A pause shorter than D excuses nothing."""
    step, start, kill, committed = bed.covered()
    history = bed.plus("arrivals", Arrival(committed + 4, step.marker, step.subject.tool))
    outage = replace(
        bed.of("outages")[0], begin=committed, end=committed + 0.04, replica=start.replica
    )
    return bed.then(bed.then(history).plus("kills", kill)).plus("outages", outage)


def i1_tier_a_has_no_excuse(bed: Bed) -> History:
    """A tool that could have refused takes a call of a process that stood still."""
    step, start, kill, committed = bed.covered()
    late = replace(bed.of_step(step), at=committed + 4)
    begun = replace(start, tier="A")
    outage = replace(bed.of("outages")[0], begin=start.at, end=late.at, replica=start.replica)
    history = bed.changed("arrivals", bed.of_step(step), at=late.at)
    history = bed.then(history).changed("starts", start, tier=begun.tier)
    return bed.then(bed.then(history).plus("kills", kill)).plus("outages", outage)


def i5_stream_left_open(bed: Bed) -> History:
    """A stream is open to the end although its scope was killed."""
    step, _, kill, committed = bed.covered()
    stream = Stream(committed - 5, None, "r9", step.subject)
    return bed.then(bed.plus("kills", kill)).plus("streams", stream)


def i5_stream_closed_late(bed: Bed) -> History:
    """A stream is closed half a second too late."""
    step, _, kill, committed = bed.covered()
    stream = Stream(committed - 5, committed + 4.5, "r9", step.subject)
    return bed.then(bed.plus("kills", kill)).plus("streams", stream)


def i5_stream_opened_under_a_kill(bed: Bed) -> History:
    """A stream is opened in a scope that was killed long before."""
    step, _, kill, committed = bed.covered()
    stream = Stream(committed + 6, committed + 8, "r9", step.subject)
    return bed.then(bed.plus("kills", kill)).plus("streams", stream)


def i5_call_missing(bed: Bed) -> History:
    """A call that was let start has no row."""
    return bed.without("steps", bed.pick("steps"))


def i5_wrong_never_dispatched(bed: Bed) -> History:
    """The verdict says never dispatched, the tool has it."""
    arrival = bed.pick("arrivals")
    verdict = Verdict(1, arrival.marker, KillVerdict.NEVER_DISPATCHED)
    return bed.plus("verdicts", verdict)


def i5_wrong_done(bed: Bed) -> History:
    """The verdict says done, the tool never got it."""
    step = bed.pick("steps", lambda one: one.state == "aborted")
    return bed.plus("verdicts", Verdict(1, step.step_id, KillVerdict.DONE))


def i6_accepted_after_its_end(bed: Bed) -> History:
    """A tool takes a credential that is over."""
    arrival = bed.pick("arrivals", lambda one: one.credential)
    old = replace(arrival.credential, expires_at=arrival.at - 1)
    return bed.changed("arrivals", arrival, credential=old)


def i6_accepted_after_a_kill(bed: Bed) -> History:
    """A tool takes a credential of an epoch before a kill, past its residual."""
    arrival = bed.pick("arrivals", lambda one: one.credential)
    step, kill = Steps(bed.clean).of(arrival), bed.covered()[2]
    assert step is not None
    kill = replace(kill, scopes=step.subject.scopes[:1])
    history = bed.then(bed.plus("kills", kill)).plus("residuals", Residual(arrival.tool, 10.0))
    late = Credential(arrival.credential.id, arrival.credential.epoch, 1e9)
    again = replace(arrival, at=kill.asked_at + 11, credential=late, had_effect=False)
    return bed.then(history).plus("arrivals", again)


def i6_not_in_the_ledger(bed: Bed) -> History:
    """A credential that nobody wrote down."""
    arrival = bed.pick("arrivals", lambda one: one.credential)
    return bed.without("minted", arrival.credential.id)


def i9_intent_after_kill(bed: Bed) -> History:
    """An intent stands in the ledger that is younger than a kill of its scope."""
    step, _, kill, committed = bed.covered()
    late = replace(step, step_id="stp-late", marker="late", at=committed + 0.01, key="")
    late = replace(late, epoch=bed.chance.choice((step.epoch, kill.epoch or 0)), state="failed")
    return bed.then(bed.plus("kills", kill)).plus("steps", late)


def i9_intent_of_an_old_epoch(bed: Bed) -> History:
    """An intent that was decided before a kill is written after its lift."""
    step, _, kill, committed = bed.covered()
    lift = replace(
        kill, asked_at=committed + 1, action=KillAction.LIFT, lifts=kill.epoch, epoch=999
    )
    late = replace(step, step_id="stp-late", marker="late", at=committed + 2, state="failed")
    history = bed.plus("kills", kill, lift)
    return bed.then(history).plus("steps", replace(late, key=""))


def i17_kill_lost(bed: Bed) -> History:
    """An acknowledged kill is not in the log after all."""
    kill = bed.kill()
    return bed.without("log", next(one for one in bed.of("log") if one.epoch == kill.epoch))


def i17_kill_changed(bed: Bed) -> History:
    """The log has another scope under the epoch of an acknowledged kill."""
    kill = bed.kill()
    entry = next(one for one in bed.of("log") if one.epoch == kill.epoch)
    return bed.changed("log", entry, scopes=())


def i17_forgotten_by_a_restart(bed: Bed) -> History:
    """A process that was started again does not know a kill."""
    view, kill = bed.of("views")[0], bed.kill()
    return bed.changed("views", view, active=view.active - {kill.epoch})


def i17_effective_too_early(bed: Bed) -> History:
    """A call starts right after its kill was told to be effective."""
    _, start, kill, committed = bed.covered()
    kill = replace(kill, effective_at=committed + 0.1)
    late = replace(start, at=committed + 0.2, write_at=None, until=1e9)
    return bed.then(bed.plus("kills", kill)).plus("starts", late)


def i17_effective_before_an_arrival(bed: Bed) -> History:
    """A tool gets a call well after its kill was told to be effective."""
    step, _, kill, committed = bed.covered()
    kill = replace(kill, effective_at=committed + 0.1)
    late = Arrival(committed + 0.5, step.marker, step.subject.tool)
    return bed.then(bed.plus("kills", kill)).plus("arrivals", late)
