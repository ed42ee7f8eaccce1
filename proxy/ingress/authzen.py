"""`/access/v1/…`: OpenID AuthZEN Authorization API 1.0, so that others can ask our decision point.

A decision is `true` only for an allow whose obligations whoever asks says it can meet, in
`context.enforces`: one that would be overlooked is a deny. `context` tells the verdict, the reasons
and the rest. Searches (section 8) are not offered: a policy answers about one call.
"""

from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from proxy.errors import BadRequest, Refused
from proxy.ingress.authzen_requests import (
    Batch,
    Evaluation,
    Semantic,
    batch_of,
    call_of,
    enforced_by,
    evaluation_of,
    name_of,
    roles_of,
    session_of,
    tenant_of,
)
from proxy.ingress.operator_requests import query_of
from proxy.ingress.strict_json import parse
from proxy.model.call import ToolCall
from proxy.model.decision import Decision, Reason, Verdict
from proxy.model.reasons import reason
from proxy.model.session import ALL_TENANTS, Operator
from proxy.pipeline.evaluate import Asked

EVALUATION = "/access/v1/evaluation"
EVALUATIONS = "/access/v1/evaluations"
METADATA = "/.well-known/authzen-configuration"

Document = dict[str, Any]


class Evaluating(Protocol):
    """What the port asks; `proxy.pipeline.evaluate.Evaluator` is the one that has it.

    Both methods raise Refused and StoreUnavailable.
    """

    async def of_call(self, asked: Asked, call: ToolCall) -> Decision:
        """Return how a call of a tool would be decided."""
        ...

    async def of_other(self, asked: Asked, scope: str, document: Document) -> Decision:
        """Return what the policy says of something that is no call; `scope` names it to kills."""
        ...


class AuthzenRoutes:
    """The three requests. `scheme` is how clients reach the port: http or https.

    Where there is nobody to ask every decision is a deny.
    """

    def __init__(self, evaluating: Evaluating | None, scheme: str) -> None:
        self._evaluating = evaluating
        self._scheme = scheme

    async def evaluation(self, operator: Operator, request: Request) -> Response:
        """Decide one request of another enforcement point; nothing is reserved or sent."""
        query_of(request)
        asked = evaluation_of(await _object(request))
        return JSONResponse(await self._decided(operator, asked))

    async def evaluations(self, operator: Operator, request: Request) -> Response:
        """Decide several requests in order; what is wrong with one of them is its own deny."""
        query_of(request)
        value = await _object(request)
        batch = batch_of(value)
        if batch is None:
            return JSONResponse(await self._decided(operator, evaluation_of(value)))
        return JSONResponse({"evaluations": await self._all(operator, batch)})

    async def configuration(self, operator: Operator, request: Request) -> Response:
        """Tell where the decision point is (section 9)."""
        del operator  # it is the same for all
        query_of(request)
        base = f"{self._scheme}://{request.headers['host'].lower()}"
        return JSONResponse(
            {
                "policy_decision_point": base,
                "access_evaluation_endpoint": base + EVALUATION,
                "access_evaluations_endpoint": base + EVALUATIONS,
            }
        )

    async def _all(self, operator: Operator, batch: Batch) -> list[Document]:
        last = {Semantic.DENY_ON_FIRST_DENY: False, Semantic.PERMIT_ON_FIRST_PERMIT: True}
        answers: list[Document] = []
        for item in batch.items:
            try:
                asked = evaluation_of(item, batch.defaults)
                answers.append(await self._decided(operator, asked))
            except BadRequest as error:
                told = {"status": error.http, "code": error.code, "message": error.detail}
                answers.append({"decision": False, "context": {"error": told}})
            if answers[-1]["decision"] is last.get(batch.semantic):
                break
        return answers

    async def _decided(self, operator: Operator, asked: Evaluation) -> Document:
        """Return the decision. Raises BadRequest, StoreUnavailable."""
        usual = operator.tenants[0] if len(operator.tenants) == 1 else ""
        tenant = tenant_of(asked, "" if usual == ALL_TENANTS else usual)
        if not operator.covers(tenant):
            raise BadRequest("not-covered", "This operator does not cover that tenant.", 403)
        enforces = enforced_by(asked)
        try:
            decision = await self._ask(tenant, asked)
        except Refused as refused:
            refusal = refused.refusal
            context = {"verdict": refusal.verdict, "reasons": _reasons(refusal.reasons)}
            return {"decision": False, "context": context}
        return decision_of(decision, enforces)

    async def _ask(self, tenant: str, asked: Evaluation) -> Decision:
        if self._evaluating is None:
            raise Refused.because("policy-unavailable")
        if not asked.is_call:
            who = Asked(tenant, asked.subject["id"])
            document = question_of(tenant, asked)
            return await self._evaluating.of_other(who, asked.resource["id"], document)
        if not tenant:
            cure = 'Say whose agent it is: "properties": {"tenant": "acme"} of the subject.'
            raise BadRequest("tenant-required", cure)
        who = Asked(tenant, name_of(asked), roles_of(asked), **session_of(asked))
        return await self._evaluating.of_call(who, call_of(asked))


def question_of(tenant: str, asked: Evaluation) -> Document:
    """Return the policy input of what is no call of ours: no manifest, no roles of ours."""
    subject, action, resource = asked.subject, asked.action, asked.resource
    return {
        "subject": {
            "type": subject["type"],
            "id": subject["id"],
            "tenant": tenant,
            "roles": [],
            "on_behalf_of": None,
            "delegation_depth": 0,
            "properties": subject.get("properties", {}),
        },
        "action": {
            "name": action["name"],
            "effect": None,
            "dry_run": False,
            "properties": action.get("properties", {}),
        },
        "resource": {
            "type": resource["type"],
            "id": resource["id"],
            "server": "",
            "tool": "",
            "manifest": None,
            "properties": resource.get("properties", {}),
        },
        "context": asked.context,
    }


def decision_of(decision: Decision, enforces: frozenset[str]) -> Document:
    """Return a decision as AuthZEN has it (section 5.5)."""
    unmet = sorted({duty.type for duty in decision.obligations} - enforces)
    is_allowed = decision.verdict is Verdict.ALLOW
    reasons = _reasons(decision.reasons)
    if is_allowed and unmet:
        cure = f"Whoever asks has to meet {', '.join(unmet)}, and say so in context.enforces."
        reasons += _reasons((reason("obligation-unknown", cure),))
    return {
        "decision": is_allowed and not unmet,
        "context": {
            "verdict": decision.verdict,
            "reasons": reasons,
            "obligations": [{"type": duty.type, **duty.fields} for duty in decision.obligations],
            "cost": {"risk": decision.risk},
            "labels": list(decision.labels),
            "policy_revision": decision.policy_revision,
            "decision_id": decision.id,
        },
    }


async def _object(request: Request) -> Document:
    """Return the body, a JSON object. Raises BadRequest."""
    value = parse(await request.body())
    if not isinstance(value, dict):
        raise BadRequest("not-an-object", "The body must be a JSON object.")
    return value


def _reasons(reasons: tuple[Reason, ...]) -> list[Document]:
    return [{"id": why.id, "message": why.message} for why in reasons]
