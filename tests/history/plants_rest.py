"""Planted faults: leases (I2, I3, I4, I18) and the ledger (I7, I8, I10, I11, I12)."""

from dataclasses import replace

from proxy.model.kill import KillAction
from tests.history.lookups import Outages
from tests.history.planting import Bed
from tests.history.records import (
    Account,
    Arrival,
    Change,
    Entry,
    Extension,
    Flag,
    Relayed,
    Start,
)
from tests.history.told import History


def i2_start_with_an_expired_lease(bed: Bed) -> History:
    """No renewal of its holder was answered for two seconds before a start."""
    start = bed.pick("starts")
    near = [one for one in bed.of("extensions") if start.at - 2.4 < one.at <= start.at]
    return bed.without("extensions", *(one for one in near if one.holder == start.holder))


def i2_start_without_any_lease(bed: Bed) -> History:
    """A process that never asked for a lease lets a call start."""
    return bed.changed("starts", bed.pick("starts"), holder="hld-nobody")


def i2_lease_counted_from_receipt(bed: Bed) -> History:
    """A call starts in the time that its last renewal took: a lease counts from the sending."""
    start = bed.pick("starts")
    near = [one for one in bed.of("renewals") if start.at - 2.4 < one.at <= start.at]
    old = {one: replace(one, at=start.at - 2.3) for one in near if one.holder == start.holder}
    return bed.with_("renewals", [old.get(one, one) for one in bed.of("renewals")])


def i2_nobody_let_it_start(bed: Bed) -> History:
    """A tool gets a call that no process looked at."""
    arrival = bed.pick("arrivals")
    mine = (one for one in bed.of("starts") if one.step_id == arrival.marker)
    return bed.without("starts", *mine)


def i3_extended_by_a_stranger(bed: Bed) -> History:
    """A lease grows by an answer nobody asked for."""
    one = bed.pick("extensions")
    return bed.changed("extensions", one, nonce="non-stranger")


def i3_extended_by_anothers_answer(bed: Bed) -> History:
    """A lease grows by the answer to another holder."""
    one = bed.pick("extensions", lambda one: one.holder == "hld-0")
    return bed.changed("extensions", one, nonce=one.nonce.replace("non-0", "non-1"))


def i3_extended_twice(bed: Bed) -> History:
    """One answer extends a lease twice."""
    one: Extension = bed.pick("extensions")
    again = replace(one, at=one.at + 0.1, before=one.until - 0.1)
    return bed.plus("extensions", again)


def i3_longer_than_granted(bed: Bed) -> History:
    """A lease counts from the receipt of its answer."""
    one: Extension = bed.pick("extensions")
    return bed.changed("extensions", one, until=one.until + 0.005)


def i3_longer_than_the_remainder(bed: Bed) -> History:
    """A holder takes a whole lease where it was given a second."""
    one: Extension = bed.pick("extensions")
    return bed.changed("extensions", one, remaining_s=1.0)


def i3_relay_grants_a_full_lease(bed: Bed) -> History:
    """A relay grants two seconds whatever it has."""
    one: Relayed = bed.pick("relayed")
    return bed.changed("relayed", one, remaining_s=2.0)


def i3_relay_grants_without_a_lease(bed: Bed) -> History:
    """A relay whose own lease is over grants a little."""
    one: Relayed = bed.pick("relayed")
    return bed.changed("relayed", one, own_until=one.at - 1, remaining_s=0.1)


def i4_epoch_decreases(bed: Bed) -> History:
    """A replica goes back to an older epoch."""
    newest = max(bed.of("seen"), key=lambda one: one.epoch)
    return bed.plus("seen", replace(newest, at=newest.at + 1, epoch=newest.epoch - 1))


def i4_lift_below_its_kill(bed: Bed) -> History:
    """A lift has a lower epoch than what it lifts."""
    return bed.plus("log", Entry(1, KillAction.LIFT, (), lifts=1 + bed.chance.randint(0, 3)))


def _late(bed: Bed) -> Start:
    """Return a late start in a process that ran on, so that nothing excuses its silence."""
    outages = Outages(bed.clean)

    def counts(one: Start) -> bool:
        at = one.write_at
        return at is not None and at > one.until and not outages.during(one.replica, at, at + 1)

    start: Start = bed.pick("starts", counts)
    return start


def _flag(bed: Bed) -> Flag:
    """Return what was told of a late start."""
    step_id = _late(bed).step_id
    flag: Flag = bed.pick("flags", lambda one: one.step_id == step_id)
    return flag


def i18_unflagged(bed: Bed) -> History:
    """A write after the end of the lease that nobody tells of."""
    return bed.without("flags", _flag(bed))


def i18_flagged_late(bed: Bed) -> History:
    """A late start is told of two seconds later."""
    flag = _flag(bed)
    return bed.changed("flags", flag, at=flag.at + 2)


def i18_flag_of_another(bed: Bed) -> History:
    """The flag names another step."""
    return bed.changed("flags", _flag(bed), step_id="stp-0")


def i7_effect_without_intent(bed: Bed) -> History:
    """A tool gets something that the ledger has never heard of."""
    return bed.plus("arrivals", Arrival(30.0, "from-nowhere", "rec/write"))


def i7_intent_after_its_effect(bed: Bed) -> History:
    """The intent is written when the tool has the call already."""
    arrival = bed.pick("arrivals")
    step = next(one for one in bed.of("steps") if one.marker == arrival.marker)
    return bed.changed("steps", step, at=arrival.at + 0.001)


def i7_intent_for_another_tool(bed: Bed) -> History:
    """What happened is not what was written down."""
    arrival = bed.pick("arrivals")
    return bed.changed("arrivals", arrival, tool="rec/other")


def i7_effect_lost(bed: Bed) -> History:
    """A call is done, and the tool never got it."""
    step = bed.pick("steps", lambda one: one.state == "done")
    return bed.without("arrivals", *(x for x in bed.of("arrivals") if x.marker == step.marker))


def i7_failed_but_happened(bed: Bed) -> History:
    """A call failed, and the tool did it."""
    step = bed.pick("steps", lambda one: one.state == "done")
    return bed.changed("steps", step, state=bed.chance.choice(("failed", "aborted")))


def i8_two_effects(bed: Bed) -> History:
    """A tool does a step twice."""
    arrival = bed.pick("arrivals")
    return bed.plus("arrivals", replace(arrival, at=arrival.at + bed.chance.uniform(0.001, 9)))


def i8_opaque_sent_again(bed: Bed) -> History:
    """An opaque step is sent twice, even though the tool noticed."""
    arrival = bed.pick("arrivals", lambda one: one.tool == "rec/opaque")
    return bed.plus("arrivals", replace(arrival, at=arrival.at + 1, had_effect=False))


def i8_two_steps_for_a_key(bed: Bed) -> History:
    """Two intents under one key."""
    step = bed.pick("steps", lambda one: one.key)
    return bed.plus("steps", replace(step, step_id="stp-twin", marker="twin", state="aborted"))


def i10_overshoot(bed: Bed) -> History:
    """More points are used and held than there are, for a moment."""
    account: Account = bed.pick("accounts")
    over = replace(account, at=10.0, used=account.limit - account.held + 1, is_last=False)
    return bed.plus("accounts", over)


def i10_held_not_given_back(bed: Bed) -> History:
    """A step was given up, its points are still held."""
    step = bed.pick("steps", lambda one: one.state == "aborted")
    account = next(one for one in bed.of("accounts") if one.account == step.accounts[0])
    return bed.changed("accounts", account, held=account.held + step.risk)


def i10_used_twice(bed: Bed) -> History:
    """A step that is done is charged twice."""
    step = bed.pick("steps", lambda one: one.state == "done")
    account = next(one for one in bed.of("accounts") if one.account == step.accounts[0])
    return bed.changed("accounts", account, used=account.used + step.risk)


def i10_given_back_too_early(bed: Bed) -> History:
    """A step is stuck, its points are free."""
    step = bed.pick("steps", lambda one: one.state == "stuck")
    account = next(one for one in bed.of("accounts") if one.account == step.accounts[0])
    return bed.changed("accounts", account, held=account.held - step.risk)


def _replayed(bed: Bed) -> tuple[object, object]:
    first, again = (one for one in bed.of("calls") if one.key == "k" and one.outcome == "done")
    return first, again


def i11_two_answers(bed: Bed) -> History:
    """One key, two results."""
    return bed.changed("calls", bed.chance.choice(_replayed(bed)), result="something else")


def i11_answer_for_another_request(bed: Bed) -> History:
    """A key's answer goes to a request that is not the one it was used for."""
    return bed.changed("calls", _replayed(bed)[1], request="another request")


def i11_mismatch_for_the_same(bed: Bed) -> History:
    """The same request is refused as another one."""
    return bed.changed("calls", _replayed(bed)[1], status=422, outcome="denied")


def i11_running_for_ever(bed: Bed) -> History:
    """A key whose call was answered is said to be running."""
    reason = "idempotency-key-in-use"
    return bed.changed("calls", _replayed(bed)[1], status=409, outcome="denied", reason=reason)


def i12_never_settled(bed: Bed) -> History:
    """An intent is open to the end."""
    step = bed.pick("steps", lambda one: one.at < 40)
    return bed.changed("steps", step, state=bed.chance.choice(("intent", "sending", "unknown")))


def i12_aborted_before_its_time(bed: Bed) -> History:
    """A step is given up while its tool may still be at it."""
    step = bed.pick("steps", lambda one: one.state == "aborted")
    return bed.changed("steps", step, settled_at=step.at + 1)


def i12_aborted_and_then_arrived(bed: Bed) -> History:
    """A step arrives after it was given up."""
    step = bed.pick("steps", lambda one: one.state == "aborted")
    return bed.plus("arrivals", Arrival(step.settled_at + 1, step.marker, step.subject.tool))


def i12_unknown_compensated(bed: Bed) -> History:
    """What nobody knows of is undone."""
    before = bed.chance.choice(("unknown", "sending", "stuck", "failed"))
    return bed.plus("changes", Change(40.0, "stp-0", before, "compensated"))


def i12_final_reopened(bed: Bed) -> History:
    """What was done is open again."""
    before = bed.chance.choice(("done", "failed", "aborted"))
    return bed.plus("changes", Change(40.0, "stp-0", before, "unknown"))
