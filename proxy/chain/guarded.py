"""What recovery needs of the floors above: calls under every guard of a call, and revocation."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from proxy.model.ledger import IntentState
from proxy.model.recovery import OpenStep


class Found(StrEnum):
    """What a tool, asked again, shows of a step.

    Done and failed: it has answered the step itself. Absent: the effect is not there. Silent: no
    answer, ask again. Not now: a kill covers it, or nothing may start. Refused: it may not be
    asked. Lost: somebody else has the step.
    """

    DONE = "done"
    FAILED = "failed"
    ABSENT = "absent"
    SILENT = "silent"
    NOT_NOW = "not_now"
    REFUSED = "refused"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Told:
    """What was found, and why: a reason id. `answer` is the outcome document to replay."""

    found: Found
    why: str = ""
    answer: bytes | None = None


class GuardedCall(Protocol):
    """Calls that recovery makes: each passes the checks of any call of its agent.

    The kill lease and epoch of now, the tool's pin, the policy's current revision, a credential
    minted anew. Nothing of them starts under a kill. All methods raise StoreUnavailable.
    """

    async def probe(self, step: OpenStep) -> Told:
        """Read back, by the recipe in the tool's manifest, whether the step has happened."""
        ...

    async def again(self, step: OpenStep, by: str) -> Told:
        """Send the same canonical call under the same key; `by` is who has taken the step."""
        ...

    def answer(self, step: OpenStep, state: IntentState) -> bytes | None:
        """Return what a repeated key of a step gets that is settled without an answer."""
        ...


class Credentials(Protocol):
    """Takes back what a step was lent."""

    async def revoke(self, broker: str, lease_id: str) -> bool:
        """Revoke at the broker; False when it did not confirm, or is not configured any more."""
        ...
