"""Stage 5: the policy decides on the canonical call. One round trip; anything unclear is a deny."""

import time
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic_core import to_json

from proxy.errors import Refused
from proxy.model.approval import sent_by, sha256_of
from proxy.model.decision import Decision
from proxy.model.session import BudgetView
from proxy.model.step import Step
from proxy.observability.metrics import Metrics
from proxy.pdp.decision import DecisionPoint
from proxy.pipeline.authenticate import Caller
from proxy.pipeline.methods import is_method
from proxy.pipeline.visible import subject


class Recorder(Protocol):
    """Keeps decisions; it never waits and never raises."""

    def note(self, body: bytes, schema: bytes, decision: Decision) -> None:
        """Take `{"input": …}`, the JSON Schema of the tool's arguments, and what was decided."""
        ...


class Decider:
    """Asks the decision point; `recorder` gets every answer."""

    def __init__(
        self, policy: DecisionPoint, metrics: Metrics, recorder: Recorder | None = None
    ) -> None:
        self._policy = policy
        self._metrics = metrics
        self._recorder = recorder

    async def __call__(self, step: Step) -> Step:
        """Return the step with its decision, whatever the verdict."""
        body = decision_body(step, self._policy.revision)
        began = time.perf_counter()
        decision = await self._policy.decide(body)
        self._metrics.decided(time.perf_counter() - began, decision.verdict)
        if self._recorder is not None:
            schema = step.definition.input_schema if step.definition else b""
            self._recorder.note(body, schema, decision)
        return step.fuller(decision=decision)


def decision_body(step: Step, revision: str) -> bytes:
    """Build `{"input": …}` for `data.detent.main.decision` (CONTRACTS section 4).

    The canonical arguments go in as they are: policy reads the very bytes the tool will get.
    """
    if step.manifest is None or step.view is None:
        raise Refused.because("unknown-tool")
    call, manifest = step.call, step.manifest
    effect = manifest.effect
    head: dict[str, Any] = {
        "subject": subject(Caller(step.principal, step.session)),
        "action": {"name": call.method, "effect": effect, "dry_run": step.is_dry_run},
        "resource": {
            "type": "method" if is_method(call.tool) else "tool",
            "id": call.resource_id,
            "server": call.server,
            "tool": call.tool,
            "manifest": manifest.document,
        },
    }
    context: dict[str, Any] = {
        "arguments_sha256": call.arguments_sha256,
        "urls": list(call.urls),
        "flags": list(call.flags),
        "session": _session(step),
        "approvals": _approvals(step),
        "epoch": step.epoch,
        "time": datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z",
        "policy_revision": revision,
    }
    parts = (
        b'{"input":', to_json(head)[:-1],
        b',"context":{"arguments":', call.arguments,
        b',"extras":', call.extras,
        b',"meta":', call.meta,
        b',"input_responses":', call.round.responses if call.round else b"{}",
        b",", to_json(context)[1:], b"}}",
    )  # fmt: skip
    return b"".join(parts)


def _session(step: Step) -> dict[str, Any]:
    view = step.view
    if view is None:
        raise Refused.because("unknown-tool")
    return {
        "id": step.session.id,
        "mode": step.mode,
        "step": view.step,
        "labels": list(view.labels),
        "budget": {"risk": _budget(view.budget)},
        "agent_budget": {"risk": _budget(view.agent_budget)},
        "transaction": None,
        "recent": [
            {"tool": recent.tool, "verdict": recent.verdict, "outcome": recent.outcome}
            for recent in view.recent
        ],
    }


def _approvals(step: Step) -> list[dict[str, str]]:
    """Tell the approval of this very request; a server's question within a call has none."""
    approval = step.approval
    if approval is None or approval.binding.request_sha256 != sha256_of(sent_by(step.call)):
        return []
    return [{"id": approval.id, "by": approval.decided_by}]


def _budget(view: BudgetView) -> dict[str, int]:
    return {"limit": view.limit, "used": view.used, "held": view.held}
