"""Stage 6: the verdict and its obligations. A refusal, a hold and a dry run end here."""

from proxy.errors import Refusal, Refused
from proxy.model.call import Door
from proxy.model.decision import Decision, Verdict
from proxy.model.step import Step
from proxy.pipeline.masks import ARGUMENTS, MASK, RESULT, masks_of

ATTENDED = "human_attended"
KNOWN_OBLIGATIONS = frozenset({"dry_run", ATTENDED, MASK})


def enforce(step: Step) -> bool:
    """Return whether the call may have its effect; False means that it is only previewed.

    A hold is previewed too: a dry run has no effect that somebody would have to approve. A hold of
    a tool that an agent runs itself goes on, and stays a hold, when policy says that the person in
    front of the agent may be asked. Raises Refused with the policy's reasons, or
    obligation-unknown. The last line denies.
    """
    decision = step.decision
    if decision is None:
        raise Refused.because("policy-unavailable")
    if any(given.type not in KNOWN_OBLIGATIONS for given in decision.obligations):
        raise Refused.because("obligation-unknown")
    # A hook can change what goes to a tool and never what comes back; every other door only the
    # reverse.
    masks_of(decision, ARGUMENTS if step.call.door is Door.HOOKS else RESULT)
    is_preview = step.is_dry_run or _asks_dry_run(decision)
    if decision.verdict is Verdict.ALLOW:
        return not is_preview
    if decision.verdict is Verdict.HOLD and is_preview:
        return False
    if decision.verdict is Verdict.HOLD and _is_attended(step, decision):
        return True
    raise Refused(Refusal(decision.verdict, decision.reasons))


def _is_attended(step: Step, decision: Decision) -> bool:
    is_own = step.manifest is not None and step.manifest.hooks
    return is_own and any(given.type == ATTENDED for given in decision.obligations)


def _asks_dry_run(decision: Decision) -> bool:
    return any(given.type == "dry_run" for given in decision.obligations)
