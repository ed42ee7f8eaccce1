"""`POST /v1/intents/{step}/settle`: a person says what became of a stuck step."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.errors import BadRequest
from proxy.ingress.operator_documents import step_document
from proxy.ingress.operator_requests import members_of, query_of, reason_of
from proxy.model.decision import Reason, Verdict
from proxy.model.ledger import DecisionRecord, IntentState, StepRow
from proxy.model.recovery import Resolution
from proxy.model.session import Operator
from proxy.model.token import new_id
from proxy.pipeline.document import settled_document
from proxy.stores.base import Store

OUTCOMES = (IntentState.DONE, IntentState.FAILED)

_MEMBERS = frozenset({"outcome", "reason"})


class StuckRoutes:
    """Settles stuck steps of the operator's tenants; the audit record is written before."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def settle(self, operator: Operator, request: Request) -> Response:
        """Say that a stuck step is done or failed. Done uses its points, failed gives them back."""
        query_of(request)
        members = await members_of(request, _MEMBERS)
        outcome = members.get("outcome")
        if outcome not in OUTCOMES:
            raise BadRequest("invalid-outcome", "`outcome` is done or failed.")
        reason = reason_of(members, required=True)
        row = await self._found(operator, request.path_params["step"])
        if row.state is not IntentState.STUCK:
            raise _not_stuck(row.state)
        now, state = datetime.now(UTC), IntentState(outcome)
        await self._store.record(_record(row, operator, state, reason, now))
        told = f"operator {operator.name}: {reason}"
        answer = settled_document(row, state)
        resolution = Resolution(row.intent.step_id, state, now, told, answer=answer)
        is_settled = await self._store.resolve(resolution)
        row = await self._found(operator, row.intent.step_id)
        if not is_settled:
            raise _not_stuck(row.state)
        return JSONResponse(step_document(row))

    async def _found(self, operator: Operator, step_id: str) -> StepRow:
        """Return a step of the operator's tenants. Raises BadRequest 404."""
        row = await self._store.step(step_id)
        if row is None or not operator.covers(row.intent.tenant):
            raise BadRequest("not-found", "There is no step of that id.", 404)
        return row


def _record(
    row: StepRow, operator: Operator, state: IntentState, reason: str, at: datetime
) -> DecisionRecord:
    intent = row.intent
    told = f"settle {intent.step_id} {intent.resource_id} {state.value} {reason}"
    return DecisionRecord(
        decision_id=new_id("dec"),
        at=at,
        step_id="",
        tenant=intent.tenant,
        agent=f"operator:{operator.name}",
        session_id=intent.session_id,
        resource_id="operators/settle",
        effect="",
        verdict=Verdict.ALLOW,
        reasons=(Reason("operator-action", told),),
        arguments_sha256=intent.arguments_sha256,
        policy_revision=row.policy_revision,
        epoch=intent.epoch,
    )


def _not_stuck(state: IntentState) -> BadRequest:
    detail = f"The step is {state.value}; only a stuck one is settled by hand, and only once."
    return BadRequest("step-not-stuck", detail, 409)
