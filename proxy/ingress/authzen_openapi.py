"""What `/access/v1/…` takes and answers, as OpenAPI tells it. Members nobody knows are ignored."""

from typing import Any

from proxy.ingress.authzen import EVALUATION, EVALUATIONS, METADATA
from proxy.ingress.authzen_requests import MAX_EVALUATIONS, Semantic
from proxy.ingress.openapi import (
    FLAG,
    NUMBER,
    REASON,
    TEXT,
    Schema,
    answers,
    body,
    many,
    record,
)
from proxy.model.decision import Verdict

_ID = {"parameters": [{"name": "X-Request-ID", "in": "header", "schema": TEXT}]}
_OPEN: Schema = {"type": "object"}


def _entity(*names: str) -> Schema:
    """Return the schema of an entity with these texts, and any properties."""
    return {
        "type": "object",
        "properties": {**dict.fromkeys(names, TEXT), "properties": _OPEN},
        "required": list(names),
    }


_ENTITIES = {
    "subject": _entity("type", "id"),
    "action": _entity("name"),
    "resource": _entity("type", "id"),
}
_MEMBERS = {**_ENTITIES, "context": _OPEN}
_REQUEST: Schema = {"type": "object", "properties": _MEMBERS, "required": list(_ENTITIES)}
_OPTIONS: Schema = {
    "type": "object",
    "properties": {"evaluations_semantic": {"enum": [str(one) for one in Semantic]}},
}
_ANY_EVALUATION: Schema = {"description": "An evaluation; one that is none is its own deny."}
_REQUESTS: Schema = {
    "type": "object",
    "properties": {
        **_MEMBERS,
        "options": _OPTIONS,
        "evaluations": {
            "type": "array",
            "maxItems": MAX_EVALUATIONS,
            "items": _ANY_EVALUATION,
        },
    },
    "anyOf": [
        {"required": list(_ENTITIES)},
        {"required": ["evaluations"], "properties": {"evaluations": {"minItems": 1}}},
    ],
}
_CONTEXT: Schema = {
    "type": "object",
    "properties": {
        "verdict": {"enum": [str(verdict) for verdict in Verdict]},
        "reasons": many(REASON),
        "obligations": many(_OPEN),
        "cost": record(risk=NUMBER),
        "labels": many(TEXT),
        "policy_revision": TEXT,
        "decision_id": TEXT,
        "error": record(status=NUMBER, code=TEXT, message=TEXT),
    },
    "additionalProperties": False,
}
_DECISION = record(decision=FLAG, context=_CONTEXT)
_DECISIONS: Schema = {"anyOf": [_DECISION, record(evaluations=many(_DECISION))]}

AUTHZEN: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", EVALUATION): {
        **_ID,
        "requestBody": body(_REQUEST, required=True),
        "responses": answers(200, _DECISION),
    },
    ("POST", EVALUATIONS): {
        **_ID,
        "requestBody": body(_REQUESTS, required=True),
        "responses": answers(200, _DECISIONS),
    },
    ("GET", METADATA): {
        "responses": answers(
            200,
            record(
                policy_decision_point=TEXT,
                access_evaluation_endpoint=TEXT,
                access_evaluations_endpoint=TEXT,
            ),
        )
    },
}
