"""`/v1/sessions`: an agent opens a bounded run for itself, and ends it."""

from datetime import UTC
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from proxy.errors import BadRequest
from proxy.ingress.base import Gate
from proxy.ingress.openapi import NUMBER, TEXT, TIME, answers, body, maybe, record, taken
from proxy.ingress.strict_json import parse
from proxy.ingress.wire import NO_STORE, bearer
from proxy.model.session import Mode
from proxy.pipeline.sessions import OpenedSession, SessionRequest

MAX_PURPOSE_CHARS = 512

_OPENS = {
    "requestBody": body(
        taken(
            mode={"enum": [*map(str, Mode), None], "description": "at most what policy gives"},
            budget=taken(
                risk=maybe({"type": "integer", "minimum": 0, "description": "points of risk"})
            ),
            purpose={"type": "string", "maxLength": MAX_PURPOSE_CHARS},
        )
    ),
    "responses": answers(
        201,
        record(
            id=TEXT,
            token=TEXT,
            expires_at=TIME,
            mode={"enum": [*map(str, Mode)]},
            budget=record(risk=record(limit=NUMBER, used=NUMBER, held=NUMBER)),
        ),
    ),
}
_ENDS = {"responses": answers(204, None)}


def sessions_router(gate: Gate) -> APIRouter:
    """Return the routes; errors are raised for the problems around them."""
    router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

    @router.post("", status_code=201, response_class=Response, openapi_extra=_OPENS)
    async def open_session(request: Request) -> Response:
        """Open a session; its token is shown once."""
        token = bearer(request.scope)
        asked = session_request(await request.body())
        opened = await gate.open_session(token, asked)
        return JSONResponse(_document(opened), 201, NO_STORE)

    @router.delete("/{session_id}", status_code=204, openapi_extra=_ENDS)
    async def end_session(session_id: str, request: Request) -> Response:
        """End a session of the calling agent."""
        caller = await gate.authenticate(bearer(request.scope))
        await gate.end_session(caller, session_id)
        return Response(status_code=204)

    return router


def session_request(body: bytes) -> SessionRequest:
    """Read `{mode?, budget?: {risk?}, purpose?}`; no body asks for what policy gives.

    Raises BadRequest.
    """
    members = parse(body) if body else {}
    asked = _members(members, {"mode", "budget", "purpose"})
    mode, purpose = asked.get("mode"), asked.get("purpose", "")
    if mode is not None and mode not in tuple(Mode):
        raise BadRequest("invalid-mode", f"`mode` is one of {', '.join(Mode)}.")
    if not isinstance(purpose, str) or len(purpose) > MAX_PURPOSE_CHARS:
        raise BadRequest("invalid-purpose", f"`purpose` is at most {MAX_PURPOSE_CHARS} characters.")
    risk = _members(asked.get("budget", {}), {"risk"}).get("risk")
    if risk is not None and (type(risk) is not int or risk < 0):
        raise BadRequest("invalid-budget", "`budget.risk` is a whole number of points.")
    return SessionRequest(Mode(mode) if mode is not None else None, risk, purpose)


def _members(value: Any, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequest("not-an-object", "The body and its `budget` must be JSON objects.")
    if not value.keys() <= known:
        raise BadRequest("unknown-member", "The body takes mode, budget.risk and purpose.")
    return value


def _document(opened: OpenedSession) -> dict[str, Any]:
    session, budget = opened.session, opened.budget
    return {
        "id": session.id,
        "token": opened.token,
        "expires_at": session.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "mode": session.mode.value,
        "budget": {"risk": {"limit": budget.limit, "used": budget.used, "held": budget.held}},
    }
