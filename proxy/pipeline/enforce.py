"""Stage 6: the verdict and its obligations. A refusal, a hold and a dry run end here."""

from proxy.errors import Refusal, Refused
from proxy.model.decision import Decision, Verdict
from proxy.model.step import Step

KNOWN_OBLIGATIONS = frozenset({"dry_run"})


def enforce(step: Step) -> bool:
    """Return whether the call may have its effect; False means that it is only previewed.

    Raises Refused with the policy's reasons, or obligation-unknown. The last line denies.
    """
    decision = step.decision
    if decision is None:
        raise Refused.because("policy-unavailable")
    if any(given.type not in KNOWN_OBLIGATIONS for given in decision.obligations):
        raise Refused.because("obligation-unknown")
    if decision.verdict is Verdict.ALLOW:
        return not (step.is_dry_run or _asks_dry_run(decision))
    raise Refused(Refusal(decision.verdict, decision.reasons))


def _asks_dry_run(decision: Decision) -> bool:
    return any(given.type == "dry_run" for given in decision.obligations)
