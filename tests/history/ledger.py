"""I7, I8, I10, I11, I12: what the ledger promises."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from proxy.model.tool import Recovery
from tests.history.lookups import Steps
from tests.history.records import HOLDING, UNSETTLED, Account, Call, Step
from tests.history.told import History, Violation

HTTP_OK, HTTP_CONFLICT, HTTP_MISMATCH = 200, 409, 422
REPLAYABLE = frozenset({"done", "failed"})


def i7_effects_have_an_earlier_intent(history: History) -> Iterator[Violation]:
    """Nothing happens at a tool that was not written down before."""
    steps = Steps(history)
    for arrival in history.arrivals:
        step = steps.of(arrival)
        if step is None:
            yield Violation("I7", "a tool got a call that has no intent", (arrival,))
        elif step.at > arrival.at + history.off_s(step.clock, arrival.clock):
            yield Violation("I7", "an intent is later than its effect", (arrival, step))


def i7_ledger_and_tool_agree(history: History) -> Iterator[Violation]:
    """What is done has happened, what failed or was given up has not."""
    steps = Steps(history)
    for step in history.steps:
        effects = [one for one in steps.arrivals[step.step_id] if one.accepted]
        is_seen = step.subject.tool not in history.unrecorded
        if step.state == "done" and is_seen and not effects:
            yield Violation("I7", "the tool never got a call that is done", (step,))
        if step.state in {"failed", "aborted"} and any(one.had_effect for one in effects):
            yield Violation("I7", f"the tool did a call that is {step.state}", (step, *effects))


def i8_one_effect_a_step(history: History) -> Iterator[Violation]:
    """A step takes effect once; an opaque one is sent once."""
    steps = Steps(history)
    for step_id, arrivals in steps.arrivals.items():
        step = steps.by_id[step_id]
        effects = [one for one in arrivals if one.had_effect]
        if len(effects) > 1:
            yield Violation("I8", "a step took effect more than once", (step, *effects))
        if step.recovery is Recovery.OPAQUE and len(arrivals) > 1:
            yield Violation("I8", "an opaque step was sent again", (step, *arrivals))


def i8_one_step_a_key(history: History) -> Iterator[Violation]:
    """An idempotency key belongs to one step of its session."""
    known: dict[tuple[str, ...], Step] = {}
    for step in history.steps:
        whose = step.subject
        pair = (whose.tenant, whose.agent, whose.session, step.key)
        if step.key and pair in known:
            yield Violation("I8", "two steps for one idempotency key", (known[pair], step))
        known[pair] = step


def i10_budgets_are_never_overdrawn(history: History) -> Iterator[Violation]:
    """Used and held are within the limit, whenever somebody looks."""
    for account in history.accounts:
        if account.used + account.held > account.limit:
            over = account.used + account.held - account.limit
            yield Violation("I10", f"a budget is overdrawn by {over}", (account,))
        if min(account.used, account.held) < 0:
            yield Violation("I10", "a budget is negative", (account,))


def i10_budgets_are_what_the_steps_say(history: History) -> Iterator[Violation]:
    """At the end, held is what is open or stuck, and used is what is done."""
    of: dict[str, list[Step]] = defaultdict(list)
    for step in history.steps:
        for charged in step.accounts:
            of[charged].append(step)
    for account in history.accounts:
        if account.is_last:
            yield from _balanced(account, of[account.account])


def _balanced(account: Account, steps: Sequence[Step]) -> Iterator[Violation]:
    held = sum(step.risk for step in steps if step.state in HOLDING)
    if account.held != held:
        told = f"{account.held} points are held, open and stuck steps have {held}"
        yield Violation("I10", told, (account,))
    used = sum(step.risk for step in steps if step.state in {"done", "compensated"})
    if not account.is_rolling and account.used != used:
        told = f"{account.used} points are used, steps that are done have {used}"
        yield Violation("I10", told, (account,))


def i11_a_key_has_one_answer(history: History) -> Iterator[Violation]:
    """Same key and request: the stored answer; another request: 422."""
    for calls in _by_key(history).values():
        given = [one for one in calls if one.outcome == "done"]
        first = given[0] if given else None
        for call in calls:
            if first is None:
                break
            same = call.request == first.request
            if call.outcome == "done" and not same:
                yield Violation("I11", "another request got a key's answer", (first, call))
            elif call.outcome == "done" and call.result != first.result:
                yield Violation("I11", "two answers for one key", (first, call))
            elif call.status == HTTP_MISMATCH and same:
                yield Violation("I11", "the same request was called another one", (first, call))


def i11_what_is_answered_is_not_running(history: History) -> Iterator[Violation]:
    """409 is for a key whose call still runs, or whose outcome nobody knows."""
    for calls in _by_key(history).values():
        ends = [one.end for one in calls if one.outcome == "done" and one.end is not None]
        answered_at = min(ends, default=None)
        for call in calls:
            running = call.status == HTTP_CONFLICT and call.reason == "idempotency-key-in-use"
            if running and answered_at is not None and call.start > answered_at:
                told = "a key that was answered before is said to be running"
                yield Violation("I11", told, (call,))


def _by_key(history: History) -> dict[tuple[str, ...], list[Call]]:
    calls: dict[tuple[str, ...], list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.key and call.end is not None:
            whose = call.subject
            calls[whose.tenant, whose.agent, whose.session, call.key].append(call)
    return calls


def i12_open_intents_settle(history: History) -> Iterator[Violation]:
    """Within R every intent is final or stuck; without recovery only what runs is not counted."""
    for step in history.steps:
        bound_s = history.recovery_s
        if bound_s is None or step.state not in UNSETTLED:
            continue
        open_s = history.ended_at - step.at - step.timeout_s
        if open_s > bound_s + history.off_s(step.clock, "boot"):
            yield Violation("I12", f"an intent is open {open_s:.1f} s after its time", (step,))


def i12_aborted_only_after_quiescence(history: History) -> Iterator[Violation]:
    """A step is given up when nothing of it can arrive any more."""
    steps = Steps(history)
    for step in history.steps:
        if step.state != "aborted" or step.settled_at is None:
            continue
        late = [one for one in steps.arrivals[step.step_id] if one.at > step.settled_at]
        if late:
            yield Violation("I12", "the tool got a step after it was aborted", (step, *late))
        starts = steps.starts[step.step_id]
        still = [one for one in starts if step.settled_at < one.at + step.timeout_s]
        if still:
            told = "a step was aborted before its tool's time limit was over"
            yield Violation("I12", told, (step, *still))


def i12_unknown_is_never_compensated(history: History) -> Iterator[Violation]:
    """What is undone is known to be done; what is final stays so."""
    for change in history.changes:
        if change.after == "compensated" and change.before != "done":
            told = f"a step that was {change.before} was compensated"
            yield Violation("I12", told, (change,))
        elif change.before in REPLAYABLE | {"aborted"} and change.after != "compensated":
            yield Violation("I12", "a final state became another", (change,))
