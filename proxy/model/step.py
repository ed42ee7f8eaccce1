"""The step a call becomes, and the answer it gets."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from proxy.model.approval import Approval
from proxy.model.call import ToolCall
from proxy.model.decision import Decision, Reason
from proxy.model.kill import Scope, scopes_of
from proxy.model.ledger import Outcome
from proxy.model.session import BudgetView, Mode, Principal, Session, SessionView
from proxy.model.tool import Effect, ToolDefinition, ToolManifest


@dataclass(frozen=True, slots=True)
class Step:
    """One logical tool call on its way down; every stage returns a fuller copy.

    `epoch` is the kill epoch the call was admitted under; `mode` the session's, after every
    dry-run toggle. `approval` is the one that is valid for exactly this request; it is used up
    when the call is made.
    """

    id: str
    call: ToolCall
    principal: Principal
    session: Session
    epoch: int
    mode: Mode
    manifest: ToolManifest | None = None
    definition: ToolDefinition | None = None
    view: SessionView | None = None
    approval: Approval | None = None
    decision: Decision | None = None

    def fuller(self, **more: Any) -> "Step":
        """Return a copy with these members: dataclasses.replace at a third of its price."""
        return Step(**dict(zip(_MEMBERS, _all_of(self), strict=True), **more))

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing may be sent: asked for on the call, or a write in a dry-run session."""
        effect = self.manifest.effect if self.manifest else None
        return self.call.dry_run or (self.mode is Mode.DRY_RUN and effect is not Effect.READ)

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """Every kill scope this step stands under."""
        return scopes_of(
            self.principal.tenant, self.principal.agent, self.session.id, self.call.resource_id
        )


_MEMBERS = tuple(Step.__dataclass_fields__)
_all_of = attrgetter(*_MEMBERS)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the agent: the outcome document of CONTRACTS section 5.

    `result` is the tool's own JSON; `is_error` says that the tool reported a failure, and
    `is_rpc_error` that the JSON is a JSON-RPC error object. `http` is the status of the plain
    doors. `arguments`: what an agent that runs a tool itself has to run it with.
    """

    step_id: str
    verdict: str
    reasons: tuple[Reason, ...]
    outcome: Outcome
    http: int = 200
    attempt: int = 1
    result: bytes | None = None
    is_error: bool = False
    is_rpc_error: bool = False
    preview: dict[str, Any] | None = None
    approval: dict[str, Any] | None = None
    risk: int = 0
    budget: BudgetView | None = None
    policy_revision: str = ""
    decision_id: str = ""
    epoch: int = 0
    stored: bytes | None = None
    arguments: bytes | None = None
