"""What a ledger is asked to approve in tests, with only what matters named."""

from dataclasses import replace
from typing import Any

from proxy.model.approval import Approval, ApprovalState, Binding, Ruling, sha256_of
from proxy.model.decision import Reason
from proxy.model.ledger import Reservation
from proxy.model.tool import Effect
from tests.harness.ledger import NOW, Call, after

LIFETIME_S = 900
REQUEST = b'{"arguments":{"message":"hello"},"server":"repo","tool":"git_commit"}'
BINDING = Binding("acme", "loop", "repo/git_commit", sha256_of(REQUEST), "sha256:pin", "git:abc")
# One other value for each thing an approval is bound to.
OTHERS = {
    "tenant": replace(BINDING, tenant="globex"),
    "agent": replace(BINDING, agent="other"),
    "tool": replace(BINDING, resource_id="repo/git_push"),
    "arguments": replace(BINDING, request_sha256="0" * 64),
    "pin": replace(BINDING, tool_pin="sha256:newer"),
    "policy": replace(BINDING, policy_revision="git:newer"),
}


def question(approval_id: str = "apr1", **changes: Any) -> Approval:
    """Return a pending approval of the call in BINDING, asked at NOW under epoch 0."""
    asked_at = changes.get("asked_at", NOW)
    given = Approval(
        id=approval_id,
        binding=BINDING,
        session_id="ses1",
        epoch=0,
        effect=Effect.IRREVERSIBLE,
        risk=5,
        reasons=(Reason("approval-required", "An operator has to approve it."),),
        request=REQUEST,
        asked_at=asked_at,
        expires_at=after((asked_at - NOW).total_seconds() + LIFETIME_S),
    )
    return replace(given, **changes)


def ruling(
    approval_id: str = "apr1", state: ApprovalState = ApprovalState.APPROVED, **changes: Any
) -> Ruling:
    """Return what an operator says a second after NOW."""
    return replace(Ruling(approval_id, state, "oncall", "looks right", after(1)), **changes)


def reservation(approval: Approval, call: Call | None = None) -> Reservation:
    """Return a reservation that uses the approval up, two seconds after NOW."""
    return replace((call or Call(at=after(2))).reservation(), approval=approval)
