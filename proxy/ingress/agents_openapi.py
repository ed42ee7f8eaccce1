"""What the agents' plane takes and answers outside of its routes, as OpenAPI tells it."""

from proxy.ingress.openapi import (
    FLAG,
    NUMBER,
    REASON,
    TEXT,
    Schema,
    answers,
    body,
    in_path,
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

_EVENT: Schema = {
    "type": "object",
    "description": "An event of the client's hooks, as Claude Code posts it.",
    "properties": {
        "session_id": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$"},
        "hook_event_name": {"type": "string", "pattern": "^[A-Za-z]{1,64}$"},
        "tool_name": {"description": "Of a tool use: the tool. Refused unless it is a name."},
        "tool_input": {"description": "Of a tool use: its arguments, an object."},
        "tool_use_id": {"description": "Of a tool use: its id, the same before and after."},
        "tool_response": {"description": "PostToolUse, where it has to be: what the tool said."},
        "error": {"description": "PostToolUseFailure: what went wrong."},
        "tool_calls": {"description": "PostToolBatch: the tool uses, each with its id."},
    },
    "required": ["session_id", "hook_event_name"],
    "additionalProperties": True,
}
# With nothing in it: go on. An answer never lets through what the user's own rules ask about.
_TOLD = taken(
    **{"continue": {"const": False}, "stopReason": TEXT},
    decision={"const": "block"},
    reason=TEXT,
    hookSpecificOutput=taken(
        hookEventName=TEXT,
        permissionDecision={"enum": ["ask", "deny"]},
        permissionDecisionReason=TEXT,
        updatedInput={"type": "object"},
        updatedToolOutput={},
        action={"const": "decline"},
        decision=taken(behavior={"const": "deny"}, message=TEXT, interrupt=FLAG),
    )
    | {"required": ["hookEventName"]},
)


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
    },
    "/hooks/{client}": {
        "post": {
            "operationId": "hook",
            "summary": "Ask before a tool the client runs itself, and tell what came of it",
            "parameters": in_path(client=_NAME),
            "requestBody": body(_EVENT, required=True),
            "responses": answers(200, _TOLD),
        }
    },
}
