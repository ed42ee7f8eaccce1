"""The invariants, each a pure function of a history; `judge` asks all of them."""

from collections.abc import Callable, Iterator

from tests.history import kills, lease, ledger
from tests.history.told import History, Violation

Invariant = Callable[[History], Iterator[Violation]]

INVARIANTS: tuple[Invariant, ...] = (
    kills.i1_no_start_after_the_bound,
    kills.i1_no_arrival_after_the_bound,
    lease.i2_a_start_implies_a_fresh_lease,
    lease.i2_every_arrival_was_let_start,
    lease.i3_only_a_matching_answer_extends,
    lease.i3_a_relay_grants_its_remainder,
    lease.i4_epochs_only_grow,
    lease.i4_a_lift_is_higher_than_its_kill,
    kills.i5_streams_are_closed,
    kills.i5_calls_in_flight_are_in_the_ledger,
    kills.i5_verdicts_agree_with_the_tool,
    kills.i6_no_credential_is_accepted_after_its_residual,
    kills.i6_every_credential_is_in_the_ledger,
    ledger.i7_effects_have_an_earlier_intent,
    ledger.i7_ledger_and_tool_agree,
    ledger.i8_one_effect_a_step,
    ledger.i8_one_step_a_key,
    kills.i9_no_intent_after_a_kill,
    ledger.i10_budgets_are_never_overdrawn,
    ledger.i10_budgets_are_what_the_steps_say,
    ledger.i11_a_key_has_one_answer,
    ledger.i11_what_is_answered_is_not_running,
    ledger.i12_open_intents_settle,
    ledger.i12_aborted_only_after_quiescence,
    ledger.i12_unknown_is_never_compensated,
    kills.i17_acknowledged_kills_are_in_the_log,
    kills.i17_restarted_processes_know_all_kills,
    kills.i17_effective_is_not_told_early,
    lease.i18_late_starts_are_flagged,
)


def judge(history: History) -> tuple[Violation, ...]:
    """Return everything that breaks an invariant, in the order of the invariants."""
    return tuple(found for invariant in INVARIANTS for found in invariant(history))
