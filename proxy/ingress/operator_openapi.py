"""What each request of the operators' plane takes and answers, as OpenAPI tells it."""

from typing import Any

from proxy.ingress.authzen_openapi import AUTHZEN
from proxy.ingress.openapi import (
    FLAG,
    NUMBER,
    REASON,
    SHA256,
    TEXT,
    TIME,
    Schema,
    answers,
    body,
    in_path,
    many,
    maybe,
    query,
    record,
    taken,
)
from proxy.ingress.operator_explain import EXPLAINED
from proxy.ingress.operator_policy_openapi import policy_described
from proxy.ingress.operator_requests import MAX_REASON_CHARS, MAX_ROWS, MAX_WAIT_S
from proxy.ingress.operator_stuck import OUTCOMES
from proxy.model.approval import ApprovalState
from proxy.model.finding import Severity
from proxy.model.kill import KillVerdict, ScopeKind
from proxy.model.ledger import IntentState
from proxy.model.session import Mode, SessionState
from proxy.model.tool import Effect, Recovery, Tier
from proxy.monitors.integrity import Kind

_NAME = "[!-.0-~]{1,128}"
_LIMIT = {"type": "integer", "minimum": 1, "maximum": MAX_ROWS}
_REASON = {"type": "string", "maxLength": MAX_REASON_CHARS}
_WHY = _REASON | {"pattern": r"[^\s]"}
_NAMED = {"type": "string", "pattern": f"^(tenant:{_NAME}|session:{_NAME})$"}
_PAIRED = {"type": "string", "pattern": f"^(agent|tool):{_NAME}/{_NAME}$"}
_SCOPE: Schema = {
    "anyOf": [
        {"const": "global"},
        _NAMED,
        _PAIRED,
        record(kind={"const": "global"}, id={"const": ""}) | {"required": ["kind"]},
        record(
            kind={"enum": ["tenant", "session"]}, id={"type": "string", "pattern": f"^{_NAME}$"}
        ),
        record(
            kind={"enum": ["agent", "tool"]},
            id={"type": "string", "pattern": f"^{_NAME}/{_NAME}$"},
        ),
    ]
}
_TOGGLED: Schema = {
    "anyOf": [
        {"const": "global"},
        _NAMED,
        {"type": "string", "pattern": f"^agent:{_NAME}/{_NAME}$"},
        record(kind={"const": "global"}, id={"const": ""}) | {"required": ["kind"]},
        record(
            kind={"enum": ["tenant", "session"]}, id={"type": "string", "pattern": f"^{_NAME}$"}
        ),
        record(kind={"const": "agent"}, id={"type": "string", "pattern": f"^{_NAME}/{_NAME}$"}),
    ]
}


def _one_of(values: Any) -> Schema:
    return {"enum": [str(value) for value in values]}


_SCOPES = many(record(kind=_one_of(ScopeKind), id=TEXT))
_EPOCH = in_path(epoch={"type": "string", "pattern": "^[1-9][0-9]{0,17}$"})
_SEGMENT = {"type": "string", "pattern": f"^{_NAME}$"}
_TOLD = {"order_id": TEXT, "scopes": _SCOPES, "actor": TEXT, "reason": TEXT, "at": TIME}
_ORDER = record(**_TOLD) | {"required": ["order_id", "scopes"]}
_STANDING = record(epoch=NUMBER, **_TOLD) | {"required": ["epoch", "order_id", "scopes"]}
_HOLDERS = record(acked=NUMBER, expired=NUMBER, outstanding=NUMBER)
_EFFECTS = {"effective": FLAG, "deadline": maybe(TIME), "holders": _HOLDERS}
_REPORT = record(
    epoch=maybe(NUMBER),
    order_id=TEXT,
    committed=FLAG,
    committed_at=maybe(TIME),
    halted_locally=FLAG,
    scopes=_SCOPES,
    in_flight=NUMBER,
    **_EFFECTS,
    matched=maybe(FLAG),
)
_REPORT["properties"]["warning"] = TEXT
_SESSION = record(
    id=TEXT,
    tenant=TEXT,
    agent=TEXT,
    mode=_one_of(Mode),
    state=_one_of(SessionState),
    opened_at=TIME,
    expires_at=TIME,
    risk_limit=NUMBER,
    implicit=FLAG,
    purpose=TEXT,
)
_STEP = record(
    step_id=TEXT,
    number=NUMBER,
    tenant=TEXT,
    agent=TEXT,
    session_id=TEXT,
    tool=TEXT,
    effect=_one_of(Effect),
    recovery=_one_of(Recovery),
    state=_one_of(IntentState),
    detail=TEXT,
    risk=NUMBER,
    at=TIME,
    at_epoch_s={"type": "number"},
    arguments_sha256=SHA256,
    decision_id=TEXT,
    policy_revision=TEXT,
    epoch=NUMBER,
)
_STEP["properties"]["tier"] = _one_of(Tier)
_DECISION = record(
    decision_id=TEXT,
    at=TIME,
    step_id=TEXT,
    tenant=TEXT,
    agent=TEXT,
    session_id=TEXT,
    tool=TEXT,
    effect=TEXT,
    verdict=TEXT,
    reasons=many(REASON),
    arguments_sha256=SHA256,
    policy_revision=TEXT,
    epoch=NUMBER,
    dry_run=FLAG,
    risk=NUMBER,
)
_FINDING = record(
    kind=_one_of(Kind), severity=_one_of(Severity), tool=TEXT, other=maybe(TEXT), message=TEXT
)
_APPROVAL = record(
    id=TEXT,
    state=_one_of(ApprovalState),
    tenant=TEXT,
    agent=TEXT,
    session_id=TEXT,
    tool=TEXT,
    effect=_one_of(Effect),
    risk=NUMBER,
    reasons=many(REASON),
    request=record(json=TEXT, truncated=FLAG, bytes=NUMBER, sha256=SHA256),
    policy_revision=TEXT,
    tool_pin=TEXT,
    epoch=NUMBER,
    asked_at=TIME,
    expires_at=TIME,
    decided_by=TEXT,
    decided_at=maybe(TIME),
    note=TEXT,
)
_RULING = {
    "parameters": in_path(approval=_SEGMENT),
    "requestBody": body(taken(reason=_REASON)),
    "responses": answers(200, _APPROVAL, (409,)),
}
_TOGGLING = {
    "requestBody": body(
        taken(scope=_TOGGLED, reason=_REASON) | {"required": ["scope"]}, required=True
    ),
    "responses": answers(200, record(scopes=_SCOPES, on=FLAG)),
}
_BECAUSE = body(taken(reason=_WHY) | {"required": ["reason"]}, required=True)
_KILL = answers(200, _REPORT) | {
    "503": {
        "description": "Halted here, and not yet in the log; it is tried again.",
        "content": {
            "application/json": {"schema": _REPORT},
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    }
}

DESCRIBED: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/killswitch"): {
        "parameters": query(wait={"type": "integer", "minimum": 0, "maximum": int(MAX_WAIT_S)}),
        "requestBody": body(taken(scope=_SCOPE, reason=_REASON)),
        "responses": _KILL,
    },
    ("GET", "/killswitch"): {
        "responses": answers(
            200, record(epoch=NUMBER, active=many(_STANDING), pending=many(_ORDER))
        )
    },
    ("GET", "/killswitch/{epoch}"): {
        "parameters": _EPOCH,
        "responses": answers(
            200,
            record(
                epoch=NUMBER,
                **_TOLD,
                **_EFFECTS,
                active=FLAG,
                lifted=maybe(_STANDING),
                calls=many(record(step_id=TEXT, verdict=_one_of(KillVerdict))),
            ),
        ),
    },
    ("DELETE", "/killswitch/{epoch}"): {
        "parameters": _EPOCH,
        "requestBody": _BECAUSE,
        "responses": answers(200, record(epoch=NUMBER, lifts=NUMBER, scopes=_SCOPES)),
    },
    ("GET", "/v1/sessions"): {
        "parameters": query(limit=_LIMIT),
        "responses": answers(200, record(sessions=many(_SESSION))),
    },
    ("GET", "/v1/chains/{session}"): {
        "parameters": [*in_path(session=_SEGMENT), *query(limit=_LIMIT)],
        "responses": answers(200, record(session=_SESSION, steps=many(_STEP))),
    },
    ("GET", "/v1/decisions"): {
        "parameters": query(limit=_LIMIT),
        "responses": answers(200, record(decisions=many(_DECISION))),
    },
    ("GET", "/v1/decisions/{decision}/explanation"): {
        "parameters": in_path(decision=_SEGMENT),
        "responses": answers(200, EXPLAINED, (404, 503)),
    },
    ("GET", "/v1/intents"): {
        "parameters": query(limit=_LIMIT, state=_one_of(IntentState)),
        "responses": answers(200, record(intents=many(_STEP))),
    },
    ("POST", "/v1/intents/{step}/settle"): {
        "parameters": in_path(step=_SEGMENT),
        "requestBody": body(
            taken(outcome=_one_of(OUTCOMES), reason=_WHY) | {"required": ["outcome", "reason"]},
            required=True,
        ),
        "responses": answers(200, _STEP, (409,)),
    },
    ("GET", "/v1/findings"): {
        "parameters": query(limit=_LIMIT),
        "responses": answers(200, record(findings=many(_FINDING))),
    },
    ("GET", "/v1/approvals"): {
        "parameters": query(limit=_LIMIT, state=_one_of((*ApprovalState, "any")), tenant=TEXT),
        "responses": answers(200, record(approvals=many(_APPROVAL))),
    },
    ("GET", "/v1/approvals/{approval}"): {
        "parameters": in_path(approval=_SEGMENT),
        "responses": answers(200, _APPROVAL),
    },
    ("POST", "/v1/approvals/{approval}/approve"): _RULING,
    ("POST", "/v1/approvals/{approval}/deny"): _RULING,
    ("GET", "/v1/dry-run"): {"responses": answers(200, record(scopes=_SCOPES))},
    ("PUT", "/v1/dry-run"): _TOGGLING,
    ("DELETE", "/v1/dry-run"): _TOGGLING,
    ("POST", "/v1/agents/{tenant}/{agent}/unlock"): {
        "parameters": in_path(tenant=_SEGMENT, agent=_SEGMENT),
        "requestBody": _BECAUSE,
        "responses": answers(200, record(unlocked=FLAG)),
    },
    ("POST", "/v1/policy/reload"): {
        "requestBody": body(taken(reason=_REASON, older=FLAG)),
        "responses": answers(200, record(policy_revision=TEXT), (422, 503)),
    },
    ("GET", "/metrics"): {"responses": answers(200, TEXT, media="text/plain")},
    **AUTHZEN,
    **policy_described(_REASON),
}
