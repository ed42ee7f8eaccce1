"""What a REST client gets back: the tool's own answer, or a problem (RFC 9457)."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import replace

from starlette.types import Send

from proxy.ingress.problems import Problem, send_problem
from proxy.ingress.wire import NO_STORE, respond
from proxy.model.decision import Reason
from proxy.model.http_headers import is_plain_value
from proxy.model.json_text import is_json, texts_of
from proxy.model.ledger import Outcome
from proxy.model.reasons import reason
from proxy.model.step import Answer
from proxy.upstream.http import SHOWN_HEADERS

_CONTENT_TYPE = re.compile(r"[\x20-\x7e]{1,256}")
_STATUSES = range(200, 600)
_BODILESS = (204, 304)  # RFC 9110 sections 15.3.5 and 15.4.5
_DRY_RUN = (
    "This was a dry run: nothing was sent, nothing has changed. `preview` is the call that would "
    "be made."
)


async def send_answer(send: Send, answer: Answer) -> None:
    """Answer with the tool's own status, content type and body, or with a problem.

    Of the tool's headers those go along that a later request can depend on (ETag and the like),
    none that names a place to go. Either way Detent-Step-Id, Detent-Decision-Id and
    Detent-Policy-Revision say which step this was. Raises ValueError, KeyError when the result is
    not one of an HTTP tool.
    """
    fields = _identity(answer)
    if answer.result is None:
        await send_problem(send, problem_of_answer(answer), fields)
        return
    members = texts_of(answer.result) or {}
    status, content_type = json.loads(members["status"]), json.loads(members["content_type"])
    if status not in _STATUSES:
        await send_problem(send, _not_http(answer), fields)
        return
    fields += _shown(json.loads(members.get("headers", "{}")))
    if content_type:
        fields.append((b"content-type", _shown_type(content_type)))
    if status in _BODILESS:
        fields += [(name.encode(), value.encode()) for name, value in NO_STORE.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": b""})
    else:
        await respond(send, status, _body(members, content_type), fields)


def problem_of_answer(answer: Answer) -> Problem:
    """Return how a call is told that has no result of its tool.

    A preview is a 409: a client that was built for the tool must not take it for the tool's
    answer, and 409 says that the request met a state of things in which it was not carried out.
    """
    if answer.outcome is Outcome.DRY_RUN:
        told, status = Reason("dry-run", _DRY_RUN), 409
    else:
        told, status = answer.reasons[0], answer.http
    return Problem(
        status,
        told.id,
        told.message,
        answer.reasons,
        answer.step_id,
        answer.decision_id,
        answer.outcome.value,
        answer.preview,
        answer.approval,
    )


def _not_http(answer: Answer) -> Problem:
    """Return how a call is told whose tool answered with a status no client can be given."""
    return problem_of_answer(replace(answer, reasons=(reason("upstream-failed"),), http=502))


def _body(members: Mapping[str, str], content_type: str) -> bytes:
    """Return the body as the tool sent it; JSON on one line, in the spelling it came in."""
    encoding = members.get("encoding")
    if encoding is None and is_json(content_type):
        return members["body"].encode()
    text = str(json.loads(members["body"])).encode(errors="replace")
    return base64.b64decode(text, validate=True) if encoding == '"base64"' else text


def _identity(answer: Answer) -> list[tuple[bytes, bytes]]:
    known = {
        "detent-step-id": answer.step_id,
        "detent-decision-id": answer.decision_id,
        "detent-policy-revision": answer.policy_revision,
    }
    return [(name.encode(), value.encode()) for name, value in known.items() if value]


def _shown(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return the headers of the tool that can be sent as they are."""
    return [
        (name.encode(), headers[name].encode())
        for name in SHOWN_HEADERS
        if name in headers and is_plain_value(headers[name])
    ]


def _shown_type(content_type: str) -> bytes:
    """Return a content type that can be a header's value; what cannot be one says nothing."""
    if _CONTENT_TYPE.fullmatch(content_type):
        return content_type.encode()
    return b"application/octet-stream"
