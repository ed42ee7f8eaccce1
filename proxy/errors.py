"""Everything that can go wrong, as one tree.

DetentError
├── ConfigError            detent.yaml or the command line is wrong
├── PolicyError
│   ├── PolicyInvalid      a bundle that must not be loaded
│   └── PolicyUnavailable  no decision in time
│       └── PolicyUndelivered  nor a bundle to decide by
├── StoreError
│   ├── StoreInUse         another process has the ledger
│   ├── SchemaNewer        the ledger was written by a newer Detent
│   └── StoreUnavailable   a write did not become durable
│       └── StoreRejected  nor would it, however often it were tried
├── BadRequest             framing or JSON that is refused before it is a call
├── Refused                a call that must not go on, with its reasons
├── UpstreamError
│   ├── UpstreamFailed     nothing happened at the tool, or it said that it failed
│   └── OutcomeUnknown     the request left, the answer did not come
├── EgressRefused          an address the gateway does not connect to
└── AlertNotDelivered      a receiver did not take an alert
"""

from dataclasses import dataclass

from proxy.model.decision import Reason, Verdict
from proxy.model.reasons import reason


class DetentError(Exception):
    """Root of everything Detent raises on purpose."""


class ConfigError(DetentError):
    """The configuration is wrong; `problems` holds one line each: place, what, cure."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class PolicyError(DetentError):
    """Something about the policy."""


class PolicyInvalid(PolicyError):
    """A bundle that must not be loaded; the text names file, line and cure."""


class PolicyUnavailable(PolicyError):
    """The policy decision point gave no usable decision in time."""


class PolicyUndelivered(PolicyUnavailable):
    """The bundle cannot be had now; the text is for operators and holds nothing of others."""


class StoreError(DetentError):
    """Something about the ledger."""


class StoreInUse(StoreError):
    """Another process holds the ledger; stop it or give this one its own `store`."""


class SchemaNewer(StoreError):
    """The ledger was written by a newer Detent; install that version or newer."""


class StoreUnavailable(StoreError):
    """A write did not become durable."""


class StoreRejected(StoreUnavailable):
    """A write that would not be taken however often it were tried."""


class BadRequest(DetentError):
    """A request refused before it is a call. `code` is kebab-case, `http` the status.

    `rpc_code` is the JSON-RPC error code over MCP. The text never repeats the input.
    """

    def __init__(self, code: str, detail: str, http: int = 400, rpc_code: int = -32600) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.http = http
        self.rpc_code = rpc_code


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call does not go on: a verdict and at least one reason."""

    verdict: Verdict
    reasons: tuple[Reason, ...]


class Refused(DetentError):
    """A call that must not go on."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(", ".join(given.id for given in refusal.reasons))
        self.refusal = refusal

    @classmethod
    def because(cls, reason_id: str, message: str = "") -> "Refused":
        """Deny for one reason of the table."""
        return cls(Refusal(Verdict.DENY, (reason(reason_id, message),)))


class UpstreamError(DetentError):
    """Something about a tool."""


class UpstreamFailed(UpstreamError):
    """The call failed and had no effect, as far as the tool says."""


class OutcomeUnknown(UpstreamError):
    """The request was sent and no answer came back; the effect may have happened."""


class EgressRefused(DetentError):
    """The gateway does not connect to that address; allow it for that server in detent.yaml."""


class AlertNotDelivered(DetentError):
    """The receiver of an alert did not take it; it is sent again."""
