"""Every reason the gateway itself refuses with: id, HTTP status, sentence with the cure.

Policies add their own ids in `policies/reasons/data.yaml`; those answer 403 unless they stand
here too.
"""

from dataclasses import dataclass

from proxy.model.decision import Reason


@dataclass(frozen=True, slots=True)
class ReasonKind:
    """`http`: status on plain doors; `fault`: a JSON-RPC error over MCP, else an isError result."""

    http: int
    fault: bool
    sentence: str


REASONS: dict[str, ReasonKind] = {
    "agent-locked": ReasonKind(403, False, "The agent is locked; an operator has to unlock it."),
    "approval-denied": ReasonKind(
        403, False, "An operator denied this call; do something else, or ask why."
    ),
    "approval-required": ReasonKind(403, False, "This call needs an approval by an operator."),
    "approval-spent": ReasonKind(
        409, False, "The approval of this call is used up or void; send it again to ask anew."
    ),
    "arguments-invalid": ReasonKind(
        400, False, "The arguments do not fit the tool's schema; correct them and call again."
    ),
    "budget-exhausted": ReasonKind(
        429, False, "The risk budget is spent; wait for the window to roll or ask an operator."
    ),
    "canary-touched": ReasonKind(403, False, "The call touched a canary; the agent is locked."),
    "credential-refused": ReasonKind(
        403, False, "The grant does not fit the tool's ceiling; correct the policy or manifest."
    ),
    "credential-unavailable": ReasonKind(
        503, True, "No credential could be had for this call; try again or check the broker."
    ),
    "default-deny": ReasonKind(403, False, "No rule allows this call."),
    "draining": ReasonKind(503, True, "The gateway is shutting down; try again shortly."),
    "idempotency-key-in-use": ReasonKind(
        409, False, "A call with this idempotency key is still running; wait for it."
    ),
    "idempotency-key-reused": ReasonKind(
        422, False, "This idempotency key was used for another request; take a new key."
    ),
    "input-refused": ReasonKind(
        403, False, "The tool asks for input in a way that policy cannot decide on."
    ),
    "identity-unavailable": ReasonKind(
        503, True, "The keys of the token's issuer cannot be had now; try again shortly."
    ),
    "kill-lease-expired": ReasonKind(
        503, True, "Nothing was heard of the kill log for too long; nothing is started until it is."
    ),
    "killed": ReasonKind(503, True, "A kill switch covers this call; an operator has to lift it."),
    "not-authenticated": ReasonKind(401, True, "Send a valid token: Authorization: Bearer dta_…"),
    "obligation-unknown": ReasonKind(
        403, False, "The policy asks for something this gateway cannot do; the call is denied."
    ),
    "outcome-unknown": ReasonKind(
        504, False, "The tool did not answer; the effect may have happened. It is not retried."
    ),
    "policy-unavailable": ReasonKind(
        503, True, "The policy decision point did not answer in time; nothing was sent."
    ),
    "recovered-aborted": ReasonKind(
        502, False, "The call was cut off and had no effect; send it again under a new key."
    ),
    "result-withheld": ReasonKind(
        403, False, "The call was made, but its result cannot be filtered as it has to be."
    ),
    "session-closed": ReasonKind(403, True, "The session has ended; open a new one."),
    "store-unavailable": ReasonKind(503, True, "The ledger cannot be written; nothing was sent."),
    "too-many-approvals": ReasonKind(
        429, False, "Too many calls of this agent wait for an approval; let some be decided first."
    ),
    "too-many-sessions": ReasonKind(
        403, False, "The agent has too many open sessions; end one first."
    ),
    "tool-use-unasked": ReasonKind(
        403, False, "A tool ran without having been asked for; look at the agent's hooks."
    ),
    "tool-quarantined": ReasonKind(
        403, False, "The tool's definition no longer matches its pin; an operator has to review it."
    ),
    "unknown-tool": ReasonKind(403, False, "No such tool; see tools/list for those you may call."),
    "upstream-failed": ReasonKind(502, False, "The tool failed; nothing is left half done."),
}


def reason(reason_id: str, message: str = "") -> Reason:
    """Return the reason of that id, with its own sentence unless one is given."""
    return Reason(reason_id, message or REASONS[reason_id].sentence)


def kind_of(reasons: tuple[Reason, ...]) -> ReasonKind:
    """Return how to answer a refusal with these reasons: the first the gateway knows, else 403."""
    known = (REASONS[given.id] for given in reasons if given.id in REASONS)
    return next(known, ReasonKind(403, False, ""))
