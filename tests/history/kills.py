"""I1, I5, I6, I9, I17: what a kill promises."""

from collections.abc import Iterator

from proxy.model.kill import KillAction, KillVerdict
from tests.history.lookups import Kills, Outages, Steps
from tests.history.records import KILL_BOUND_S, Arrival
from tests.history.told import History, Violation

STREAMS_S = 1.0


def i1_no_start_after_the_bound(history: History) -> Iterator[Violation]:
    """A process lets nothing of a killed scope start later than T after the commit."""
    kills = Kills(history)
    for start in history.starts:
        if start.tier == "C" or start.is_undo:
            continue
        for window in kills.against(start, KILL_BOUND_S):
            told = "a call of a killed scope started later than T after the commit"
            yield Violation("I1", told, (start, window.kill))


def i1_no_arrival_after_the_bound(history: History) -> Iterator[Violation]:
    """A tool takes nothing of a killed scope later than T, and the way to it, after the commit.

    Excused (tier B only): the process was paused for longer than D between its look and the write.
    """
    for arrival, kill in _late_arrivals(history, KILL_BOUND_S, "committed_by"):
        told = "a tool took a call of a killed scope later than T after the commit"
        yield Violation("I1", told, (arrival, kill))


def _late_arrivals(
    history: History, after_s: float, since: str
) -> Iterator[tuple[Arrival, object]]:
    kills, steps, outages = Kills(history), Steps(history), Outages(history)
    for step_id, arrivals in steps.arrivals.items():
        step, starts = steps.by_id[step_id], steps.starts[step_id]
        if any(start.is_undo or start.tier == "C" for start in starts):
            continue
        tier_a = any(start.tier == "A" for start in starts)
        for window in kills.covering(step.subject):
            known = getattr(window.kill, since)
            for arrival in arrivals if known is not None else ():
                margin = history.transit_s + history.off_s(arrival.clock, window.kill.clock)
                epoch = steps.epoch_of(step, arrival)
                late = window.holds(arrival.at, known + after_s + margin, epoch)
                froze = outages.froze(starts, arrival, history.terms.pause_s)
                if late and arrival.accepted and (tier_a or not froze):
                    yield arrival, window.kill


def i5_streams_are_closed(history: History) -> Iterator[Violation]:
    """No stream of a killed scope is open later than T + 1 s at a process that runs."""
    kills, outages = Kills(history), Outages(history)
    for stream in history.streams:
        closed_at = history.ended_at if stream.closed_at is None else stream.closed_at
        for window in kills.covering(stream.subject):
            committed = window.kill.committed_by or 0.0
            deadline = committed + KILL_BOUND_S + STREAMS_S
            overlaps = closed_at > deadline and stream.opened_at < window.lifted_at
            ran = not outages.during(stream.replica, committed, deadline)
            if overlaps and deadline < window.lifted_at and ran:
                told = "a stream of a killed scope was open later than T + 1 s after the commit"
                yield Violation("I5", told, (stream, window.kill))


def i5_calls_in_flight_are_in_the_ledger(history: History) -> Iterator[Violation]:
    """Every call that was let start has a row in the ledger."""
    steps = Steps(history)
    for start in history.starts:
        if start.step_id not in steps.by_id:
            yield Violation("I5", "a call that was let start is not in the ledger", (start,))


def i5_verdicts_agree_with_the_tool(history: History) -> Iterator[Violation]:
    """A call is `never_dispatched` only if the tool did not get it, `done` only if it did."""
    steps = Steps(history)
    for verdict in history.verdicts:
        arrived = steps.arrivals.get(verdict.step_id, [])
        if verdict.verdict is KillVerdict.NEVER_DISPATCHED and arrived:
            told = "the tool got a call whose verdict is never_dispatched"
            yield Violation("I5", told, (verdict, *arrived))
        if verdict.verdict is KillVerdict.DONE and not arrived:
            told = "the tool never got a call whose verdict is done"
            yield Violation("I5", told, (verdict,))


def i6_no_credential_is_accepted_after_its_residual(history: History) -> Iterator[Violation]:
    """A credential of a killed scope is worth nothing after T, or what its target publishes."""
    kills, steps = Kills(history), Steps(history)
    residual = {one.tool: one.after_s for one in history.residuals}
    for arrival in history.arrivals:
        lent, step = arrival.credential, steps.of(arrival)
        if lent is None or step is None or not arrival.accepted:
            continue
        if arrival.at > lent.expires_at + history.transit_s:
            yield Violation("I6", "a tool accepted a credential after its end", (arrival,))
        after_s = max(KILL_BOUND_S, residual.get(arrival.tool, 0.0)) + history.transit_s
        for window in kills.covering(step.subject):
            is_older = lent.epoch < (window.kill.epoch or 0)
            if is_older and arrival.at > (window.kill.committed_by or 0.0) + after_s:
                told = "a tool accepted a credential of a killed scope after its residual"
                yield Violation("I6", told, (arrival, window.kill))


def i6_every_credential_is_in_the_ledger(history: History) -> Iterator[Violation]:
    """Nothing was lent that the ledger does not know."""
    minted = frozenset(history.minted)
    for arrival in history.arrivals:
        if arrival.credential is not None and arrival.credential.id not in minted:
            yield Violation("I6", "a credential is not in the ledger", (arrival,))


def i9_no_intent_after_a_kill(history: History) -> Iterator[Violation]:
    """No intent is written after a kill that covers it was committed, whatever the tool got."""
    kills = Kills(history)
    for step in history.steps:
        for window in kills.against(step):
            told = "an intent was written after a kill that covers it was committed"
            yield Violation("I9", told, (step, window.kill))


def i17_acknowledged_kills_are_in_the_log(history: History) -> Iterator[Violation]:
    """What was answered as committed stands in the log, whoever was killed since."""
    log = {entry.epoch: entry for entry in history.log}
    for kill in history.kills:
        if not kill.acknowledged:
            continue
        entry = log.get(kill.epoch or -1)
        if entry is None:
            yield Violation("I17", "an acknowledged kill is not in the log", (kill,))
        elif (entry.action, set(entry.scopes)) != (kill.action, set(kill.scopes)):
            yield Violation("I17", "the log has something else under this epoch", (kill, entry))


def i17_restarted_processes_know_all_kills(history: History) -> Iterator[Violation]:
    """A process that was started after an acknowledgement tells that the kill is in force."""
    lifts = {one.lifts: one.asked_at for one in history.kills if one.action is KillAction.LIFT}
    for view in history.views:
        for kill in history.kills:
            committed = kill.committed_by if kill.acknowledged else None
            if kill.action is KillAction.LIFT or committed is None or committed > view.began_at:
                continue
            in_force = lifts.get(kill.epoch, view.at + 1) > view.at
            if in_force and kill.epoch not in view.active:
                told = "a process that was started after a kill does not know it"
                yield Violation("I17", told, (view, kill))


def i17_effective_is_not_told_early(history: History) -> Iterator[Violation]:
    """Nothing of a kill's scope starts once somebody was told that it is effective."""
    kills = Kills(history)
    for start in history.starts:
        for window in kills.covering(start.subject):
            told_at = window.kill.effective_at
            if start.is_undo or start.tier == "C" or told_at is None:
                continue
            if window.holds(start.at, told_at, start.epoch):
                told = "a call started after its kill was told to be effective"
                yield Violation("I17", told, (start, window.kill))
    for arrival, kill in _late_arrivals(history, 0.0, "effective_at"):
        told = "a tool took a call after its kill was told to be effective"
        yield Violation("I17", told, (arrival, kill))
