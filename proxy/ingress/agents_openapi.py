"""What the agents' plane takes and answers outside of its routes, as OpenAPI tells it."""

from proxy.ingress.openapi import (
    FLAG,
    NUMBER,
    REASON,
    TEXT,
    Schema,
    answers,
    body,
    many,
    maybe,
    record,
    taken,
)
from proxy.model.decision import Verdict
from proxy.model.ledger import Outcome

_NAME = {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$"}
_KEY = {"type": "string", "pattern": "^[ -~]{1,255}$"}
_BUDGET = maybe(record(risk=record(limit=NUMBER, used=NUMBER, held=NUMBER)))
_OUTCOME = record(
    step_id=TEXT,
    attempt=NUMBER,
    verdict={"enum": [*map(str, Verdict)]},
    reasons=many(REASON),
    outcome={"enum": [*map(str, Outcome)]},
    is_error=FLAG,
    cost=record(risk=NUMBER),
    budget=_BUDGET,
    policy_revision=TEXT,
    decision_id=TEXT,
    epoch=NUMBER,
) | {"additionalProperties": True}
_CALL = taken(
    server=_NAME,
    tool=_NAME,
    arguments={"type": "object"},
    idempotency_key=maybe(_KEY),
    dry_run=FLAG,
) | {"required": ["server", "tool"]}


def _outcomes() -> Schema:
    """Return every answer: most refusals are outcome documents too."""
    either: Schema = {
        "description": "What became of the call, or why it never became one.",
        "content": {
            "application/json": {"schema": _OUTCOME},
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    }
    every = answers(200, _OUTCOME, (202, 409, 422, 502, 504))
    return {code: one if code == "200" else either for code, one in every.items()}


CALLS: dict[str, Schema] = {
    "/v1/calls": {
        "post": {
            "operationId": "call",
            "summary": "Call a tool",
            "requestBody": body(_CALL, required=True),
            "responses": _outcomes(),
        }
    }
}
