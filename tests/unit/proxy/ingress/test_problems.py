import json
import logging
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.errors import (
    BadRequest,
    DetentError,
    PolicyUnavailable,
    Refused,
    StoreUnavailable,
    UpstreamFailed,
)
from proxy.ingress.problems import LastResort, Problem, install_problems, problem_of
from tests.harness.doors import exchange, request_scope

SECRET = "hunter2"
ERRORS = [
    (BadRequest("not-json", "No.", 400), 400, "not-json"),
    (BadRequest("too-large", "No.", 413), 413, "too-large"),
    (Refused.because("not-authenticated"), 401, "not-authenticated"),
    (Refused.because("killed"), 503, "killed"),
    (Refused.because("budget-exhausted"), 429, "budget-exhausted"),
    (StoreUnavailable(SECRET), 503, "store-unavailable"),
    (PolicyUnavailable(SECRET), 503, "policy-unavailable"),
    (UpstreamFailed(SECRET), 500, "internal-error"),
]


def raising(error: Exception, *, after_start: bool = False) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if after_start:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    return app


@pytest.mark.parametrize(("error", "status", "code"), ERRORS)
def test_every_error_of_the_house_has_its_problem(
    error: DetentError, status: int, code: str
) -> None:
    """Status, code and type follow the tables; the exception's own text stays inside."""
    document = json.loads(problem_of(error).document())
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"urn:detent:problem:{code}"
    assert SECRET not in str(document)


def test_a_refusal_tells_all_its_reasons() -> None:
    """The first one is the code, every one is told with its cure."""
    document = json.loads(problem_of(Refused.because("agent-locked")).document())
    assert [given["id"] for given in document["reasons"]] == ["agent-locked"]
    assert document["title"] == "Forbidden"


def test_empty_members_are_left_out() -> None:
    """What is known of the step stands in the document, what is not known does not."""
    document = json.loads(Problem(502, "x", "y", step_id="stp_1", outcome="unknown").document())
    assert (document["step_id"], document["outcome"]) == ("stp_1", "unknown")
    assert "decision_id" not in document


def test_what_can_be_done_about_it_is_told() -> None:
    """A preview, and an approval that is waited for."""
    preview, approval = {"tool": "write"}, {"id": "apr_1"}
    document = json.loads(Problem(202, "x", "y", preview=preview, approval=approval).document())
    assert (document["preview"], document["approval"]) == (preview, approval)


async def test_a_401_carries_its_challenge() -> None:
    """RFC 9110 section 15.5.2 asks for WWW-Authenticate."""
    app = LastResort(raising(Refused.because("not-authenticated")))
    reply = await exchange(app, request_scope("GET", "/", {}), [b""])
    assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Bearer realm="detent"')
    assert reply.headers["content-type"] == "application/problem+json"


async def test_nothing_of_an_unexpected_error_leaves_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The answer says nothing, the log says what and where but not the exception's text."""
    app = LastResort(raising(RuntimeError(SECRET)))
    reply = await exchange(app, request_scope("GET", "/", {}), [b""])
    assert (reply.status, reply.json["code"]) == (500, "internal-error")
    assert "RuntimeError" in caplog.text
    assert any("test_problems.py" in line for line in caplog.records[0].__dict__["where"])
    assert SECRET not in caplog.text + reply.body.decode() + str(caplog.records[0].__dict__)


async def test_after_the_first_byte_an_error_is_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A second response start would corrupt the first."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    app = LastResort(raising(RuntimeError(SECRET), after_start=True))
    with caplog.at_level(logging.ERROR):
        await app(request_scope("GET", "/", {}), receive, send)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert "RuntimeError" in caplog.text


async def test_other_scopes_pass_untouched() -> None:
    """Lifespan is the application's own business."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: object) -> Message:
        return {}

    receive: Callable[[], Awaitable[Message]] = nothing
    await LastResort(app)({"type": "lifespan"}, receive, nothing)  # type: ignore[arg-type] # unused
    assert seen == ["lifespan"]


def api() -> FastAPI:
    api = FastAPI(openapi_url=None)
    install_problems(api)

    @api.get("/number/{number}")
    async def number(number: int) -> int:
        if number == 1:
            raise Refused.because("killed")
        if number == 2:
            raise RuntimeError(SECRET)
        return number

    return api


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/number/hunter2", 400, "invalid-request"),
        ("GET", "/number/1", 503, "killed"),
        ("GET", "/number/2", 500, "internal-error"),
        ("GET", "/elsewhere", 404, "not-found"),
        ("POST", "/number/3", 405, "method-not-allowed"),
    ],
)
async def test_fastapi_answers_with_problems_too(
    method: str, path: str, status: int, code: str
) -> None:
    """Its own error bodies, which repeat the input, are replaced."""
    reply = await exchange(LastResort(api()), request_scope(method, path, {}), [b""])
    assert (reply.status, reply.json["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    assert ("allow" in reply.headers) == (status == 405)
    assert SECRET not in reply.body.decode()
