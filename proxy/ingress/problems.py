"""Refusals as RFC 9457 problems, and the last resort for what nobody expected.

Texts come from our own tables: no input, no exception text and no stack trace leaves the process.
"""

import json
import logging
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.errors import BadRequest, DetentError, PolicyUnavailable, Refused, StoreUnavailable
from proxy.ingress.wire import NO_STORE, respond
from proxy.model.decision import Reason
from proxy.model.reasons import kind_of

log = logging.getLogger(__name__)

_MEDIA_TYPE = b"application/problem+json"
_CODES = {404: "not-found", 405: "method-not-allowed"}
_DETAILS = {
    404: "There is nothing at this path.",
    405: "This path does not take this method; see the Allow header.",
}
CHALLENGE = (b"www-authenticate", b'Bearer realm="detent"')


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem document. `status` is the HTTP status; empty members are left out."""

    status: int
    code: str
    detail: str
    reasons: tuple[Reason, ...] = ()
    step_id: str = ""
    decision_id: str = ""
    outcome: str = ""
    preview: Mapping[str, object] | None = None
    approval: Mapping[str, object] | None = None

    def document(self) -> bytes:
        """Return the JSON of RFC 9457 section 3, with our extension members."""
        members: dict[str, object] = {
            "type": f"urn:detent:problem:{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.reasons:
            members["reasons"] = [{"id": had.id, "message": had.message} for had in self.reasons]
        for name in ("step_id", "decision_id", "outcome", "preview", "approval"):
            if value := getattr(self, name):
                members[name] = value
        return json.dumps(members, separators=(",", ":")).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that go with it; a 401 carries its challenge (RFC 9110)."""
        fields = [(b"content-type", _MEDIA_TYPE)]
        return [*fields, CHALLENGE] if self.status == HTTPStatus.UNAUTHORIZED else fields


INTERNAL = Problem(500, "internal-error", "Something went wrong inside the gateway.")


def problem_of(error: DetentError) -> Problem:
    """Return how an error of the house is told; one without a form of its own is internal."""
    if isinstance(error, BadRequest):
        return Problem(error.http, error.code, error.detail)
    if isinstance(error, StoreUnavailable):
        return _of_reasons(Refused.because("store-unavailable").refusal.reasons)
    if isinstance(error, PolicyUnavailable):
        return _of_reasons(Refused.because("policy-unavailable").refusal.reasons)
    if isinstance(error, Refused):
        return _of_reasons(error.refusal.reasons)
    _log(error)
    return INTERNAL


def _of_reasons(reasons: tuple[Reason, ...]) -> Problem:
    first = reasons[0]
    return Problem(kind_of(reasons).http, first.id, first.message, reasons)


async def send_problem(
    send: Send, problem: Problem, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Answer a request with a problem."""
    await respond(send, problem.status, problem.document(), [*problem.headers(), *headers])


class LastResort:
    """Outermost application: whatever is raised inside becomes a problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; an error after the first byte can only be logged, the server then hangs up."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except DetentError as error:
            problem = problem_of(error)
        except Exception as error:  # noqa: BLE001 the one broad except: nothing gets past it
            _log(error)
            problem = INTERNAL
        else:
            return
        if not started:
            await send_problem(send, problem)


def _log(error: Exception) -> None:
    """Log what and where, never the exception's own text: it may hold input or a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
    log.error("internal error: %s", type(error).__name__, extra={"where": where})


def install_problems(api: FastAPI) -> None:
    """Make a FastAPI application answer every error with a problem that repeats no input."""

    async def of_the_house(_: Request, error: Exception) -> Response:
        return _response(problem_of(error) if isinstance(error, DetentError) else INTERNAL)

    async def of_http(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = getattr(error, "headers", None) or {}
        code = _CODES.get(status, "request-refused")
        detail = _DETAILS.get(status, "The request is refused.")
        return _response(Problem(status, code, detail), headers)

    async def of_validation(_: Request, __: Exception) -> Response:
        detail = "The request does not fit the schema of this path; see the API reference."
        return _response(Problem(400, "invalid-request", detail))

    api.add_exception_handler(DetentError, of_the_house)
    api.add_exception_handler(HTTPException, of_http)
    api.add_exception_handler(RequestValidationError, of_validation)
    api.add_exception_handler(Exception, of_the_house)


def _response(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    fields = {name.decode(): value.decode() for name, value in problem.headers()}
    allowed = {"Allow": headers["Allow"]} if headers and "Allow" in headers else {}
    return Response(problem.document(), problem.status, fields | NO_STORE | allowed)
