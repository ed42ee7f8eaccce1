"""What a REST client gets back."""

import json
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message

from proxy.errors import Refused
from proxy.ingress.http_answers import send_answer
from proxy.model.ledger import Outcome
from proxy.model.step import Answer
from tests.harness.doors import Reply

DONE = Answer("stp_1", "allow", (), Outcome.DONE, policy_revision="git:1", decision_id="dec_1")


def result(
    body: str, content_type: str = "application/json", status: int = 200, **more: Any
) -> bytes:
    tail = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in more.items())
    shown = json.dumps(content_type)
    return f'{{"status":{status},"content_type":{shown},"body":{body}{tail}}}'.encode()


async def told(answer: Answer) -> Reply:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await send_answer(send, answer)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], headers, sent[1]["body"])


@pytest.mark.parametrize(
    ("raw", "content_type", "body"),
    [
        (result('{"n": 1.0, "m": 1E2}'), "application/json", b'{"n": 1.0, "m": 1E2}'),
        (result("[1,2]", "application/problem+json"), "application/problem+json", b"[1,2]"),
        (result('"a"'), "application/json", b'"a"'),
        (result('"not json"', encoding="text"), "application/json", b"not json"),
        (result('"a\\u00e9\\n"', "text/plain"), "text/plain", b"a\xc3\xa9\n"),
        (result('"iVBORw=="', "image/png", encoding="base64"), "image/png", b"\x89PNG"),
        (result('""', "text/html"), "text/html", b""),
    ],
)
async def test_the_tools_own_body_and_type_are_the_answer(
    raw: bytes, content_type: str, body: bytes
) -> None:
    """As the tool sent them."""
    reply = await told(replace(DONE, result=raw))
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, content_type, body)
    assert reply.headers["content-length"] == str(len(body))


@pytest.mark.parametrize("status", [200, 201, 302, 404, 422, 500])
async def test_the_tools_own_status_is_the_answer(status: int) -> None:
    """Its failures too; no redirect of it is followed, here or by naming a place to go."""
    raw = result("{}", status=status)
    reply = await told(replace(DONE, outcome=Outcome.FAILED, is_error=True, result=raw))
    assert reply.status == status
    assert "location" not in reply.headers


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(status: int) -> None:
    """RFC 9110 sections 15.3.5 and 15.4.5."""
    reply = await told(replace(DONE, result=result('"x"', "text/plain", status)))
    assert (reply.status, reply.body) == (status, b"")
    assert "content-length" not in reply.headers
    assert reply.headers["content-type"] == "text/plain"
    assert reply.headers["cache-control"] == "no-store"


async def test_the_answer_names_its_step() -> None:
    """A result and a refusal alike; nobody may cache or sniff either."""
    reasons = Refused.because("default-deny").refusal.reasons
    denied = replace(DONE, outcome=Outcome.DENIED, http=403, reasons=reasons)
    for answer in (replace(DONE, result=result("1")), denied):
        reply = await told(answer)
        assert reply.headers["detent-step-id"] == "stp_1"
        assert reply.headers["detent-decision-id"] == "dec_1"
        assert reply.headers["detent-policy-revision"] == "git:1"
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_an_answer_without_a_type_has_none() -> None:
    """And without a revision there is no header for it."""
    reply = await told(replace(DONE, policy_revision="", result=result('"a"', "")))
    assert reply.headers.keys().isdisjoint({"content-type", "detent-policy-revision"})


async def test_headers_a_later_request_depends_on_go_along() -> None:
    """As far as they are plain; no other header of the tool does."""
    headers = '{"etag":"\\"v1\\"","retry-after":"5\\r\\nX: y","location":"http://tool.test/"}'
    raw = result("1").replace(b',"body"', f',"headers":{headers},"body"'.encode())
    reply = await told(replace(DONE, result=raw))
    assert (reply.headers["etag"], reply.body) == ('"v1"', b"1")
    assert reply.headers.keys().isdisjoint({"retry-after", "location", "x"})


@pytest.mark.parametrize("content_type", ["text/plain\r\nSet-Cookie: a=b", "té", "x" * 300])
async def test_a_type_that_is_no_header_value_says_nothing(content_type: str) -> None:
    """A tool cannot write headers of ours."""
    reply = await told(replace(DONE, result=result('"a"', content_type)))
    assert reply.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, 999])
async def test_a_status_no_client_knows_is_a_failure(status: int) -> None:
    """The server would not even send it."""
    reply = await told(replace(DONE, result=result("{}", status=status)))
    assert (reply.status, reply.json["code"]) == (502, "upstream-failed")


@pytest.mark.parametrize(
    ("reason_id", "outcome", "http"),
    [
        ("default-deny", Outcome.DENIED, 403),
        ("budget-exhausted", Outcome.DENIED, 429),
        ("killed", Outcome.DENIED, 503),
        ("upstream-failed", Outcome.FAILED, 502),
        ("outcome-unknown", Outcome.UNKNOWN, 504),
    ],
)
async def test_a_refusal_is_a_problem(reason_id: str, outcome: Outcome, http: int) -> None:
    """With its reasons, its step and what is known of the outcome."""
    reasons = Refused.because(reason_id).refusal.reasons
    reply = await told(replace(DONE, outcome=outcome, http=http, reasons=reasons))
    assert (reply.status, reply.headers["content-type"]) == (http, "application/problem+json")
    told_as = {"code": reason_id, "step_id": "stp_1", "outcome": outcome.value}
    assert reply.json.items() >= told_as.items()
    assert [given["id"] for given in reply.json["reasons"]] == [reason_id]


async def test_a_dry_run_is_not_taken_for_the_tools_answer() -> None:
    """409, with the preview of the call."""
    preview = {"server": "rec", "tool": "write"}
    reply = await told(replace(DONE, outcome=Outcome.DRY_RUN, preview=preview))
    assert (reply.status, reply.json["code"]) == (409, "dry-run")
    assert (reply.json["preview"], reply.json["outcome"]) == (preview, "dry_run")


async def test_a_call_that_waits_says_for_what() -> None:
    """202: it is accepted, and not carried out; the approval is named."""
    reasons = Refused.because("approval-required").refusal.reasons
    waiting = replace(DONE, outcome=Outcome.PENDING_APPROVAL, http=202, reasons=reasons)
    reply = await told(replace(waiting, approval={"id": "apr_1"}))
    assert (reply.status, reply.json["approval"]) == (202, {"id": "apr_1"})
    assert reply.json["outcome"] == "pending_approval"


async def test_a_result_of_another_kind_of_tool_is_an_error() -> None:
    """Only HTTP tools have routes."""
    for raw in (b'{"content":[]}', b"[]"):
        with pytest.raises(KeyError):
            await told(replace(DONE, result=raw))
