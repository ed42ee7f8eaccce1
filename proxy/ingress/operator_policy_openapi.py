"""The requests about the policy in force, described for OpenAPI."""

from typing import Any

from proxy.ingress.openapi import NUMBER, TEXT, TIME, Schema, answers, body, maybe, record, taken
from proxy.ingress.operator_policy import MAX_REVISION_CHARS

_COUNTS: Schema = {"type": "object", "additionalProperties": NUMBER}
_SHADOW = record(revision=maybe(TEXT), counts=_COUNTS, problem=maybe(TEXT))
_STATUS = record(
    replica=TEXT,
    policy_revision=TEXT,
    loaded_at=TIME,
    offered=TEXT,
    number=maybe(NUMBER),
    previous=maybe(TEXT),
    refused=maybe(record(at=TIME, message=TEXT)),
    shadow=maybe(_SHADOW),
)
_REVISION: Schema = {"type": "string", "minLength": 1, "maxLength": MAX_REVISION_CHARS}
_NAMED: Schema = {"type": "string", "maxLength": MAX_REVISION_CHARS}
_LOADED = record(policy_revision=TEXT)


def policy_described(reason: Schema) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the descriptions by method and path; `reason` is the schema of reasons."""
    promoting = taken(revision=_REVISION, reason=reason) | {"required": ["revision"]}
    return {
        ("GET", "/v1/policy"): {"responses": answers(200, _STATUS, (404,))},
        ("GET", "/v1/policy/bundle"): {
            "responses": answers(200, TEXT, media="application/gzip")
            | {"304": {"description": "Not Modified"}}
        },
        ("POST", "/v1/policy/promote"): {
            "requestBody": body(promoting, required=True),
            "responses": answers(200, _LOADED, (404, 422, 503)),
        },
        ("POST", "/v1/policy/rollback"): {
            "requestBody": body(taken(revision=_NAMED, reason=reason)),
            "responses": answers(200, _LOADED, (404, 422, 503)),
        },
    }
