import json
from typing import Any

import jsonschema_rs
import pytest
from starlette.requests import Request
from starlette.types import Message, Receive

from proxy.errors import Refused, StoreUnavailable
from proxy.ingress.authzen import AuthzenRoutes
from proxy.ingress.authzen_openapi import AUTHZEN
from proxy.model.decision import Obligation, Verdict
from proxy.model.session import Mode
from tests.harness.operators import OPERATORS, Plane

ONE, MANY = "/access/v1/evaluation", "/access/v1/evaluations"
SUBJECT = {"type": "agent", "id": "loop", "properties": {"tenant": "acme", "roles": ["reader"]}}
CALL: dict[str, Any] = {
    "subject": SUBJECT,
    "action": {"name": "tools/call"},
    "resource": {"type": "tool", "id": "repo/git_log"},
    "context": {"arguments": {"url": "https://x.example/a"}},
}
RECORD: dict[str, Any] = {
    "subject": {"type": "user", "id": "ann", "properties": {"role": "admin"}},
    "action": {"name": "read", "properties": {"soft": True}},
    "resource": {"type": "record", "id": "record-1", "properties": {"status": "new"}},
    "context": {"ip": "192.0.2.1"},
}
MASK = (Obligation("mask", {"path": "/result/email"}),)


async def test_an_allow_is_true_and_says_why(plane: Plane) -> None:
    """Everything of the decision but the grant, which is for Detent alone."""
    status, answer = await plane.ask("POST", ONE, CALL)
    assert status == 200
    assert answer == {
        "decision": True,
        "context": {
            "verdict": "allow",
            "reasons": [{"id": "fine", "message": "Fine."}],
            "obligations": [],
            "cost": {"risk": 5},
            "labels": [],
            "policy_revision": "sha256:1",
            "decision_id": "dec_1",
        },
    }


async def test_a_call_is_canonical_when_it_is_asked_about(plane: Plane) -> None:
    """URLs, roles and names as a door would read them."""
    await plane.ask("POST", ONE, CALL)
    [(asked, call)] = plane.evaluating.asked
    assert (asked.tenant, asked.name, asked.roles) == ("acme", "loop", ("reader",))
    assert (call.resource_id, call.arguments) == ("repo/git_log", b'{"url":"https://x.example/a"}')
    assert (call.urls, call.dry_run) == (("https://x.example/a",), False)


async def test_session_and_dry_run_are_passed_on(plane: Plane) -> None:
    """As far as they narrow."""
    session = {"id": "ses_1", "mode": "dry_run", "labels": ["pii"]}
    action = {"name": "resources/read", "properties": {"dry_run": True}}
    resource = {"type": "method", "id": "repo/resources/read"}
    body = CALL | {"action": action, "resource": resource, "context": {"session": session}}
    assert (await plane.ask("POST", ONE, body))[0] == 200
    [(asked, call)] = plane.evaluating.asked
    assert (asked.session_id, asked.mode, asked.labels) == ("ses_1", Mode.DRY_RUN, ("pii",))
    assert (call.tool, call.method, call.dry_run) == ("resources/read", "resources/read", True)


@pytest.mark.parametrize(
    "change",
    [
        {"subject": SUBJECT | {"type": "user"}},
        {"action": {"name": "tools/list"}},
        {"resource": {"type": "method", "id": "repo/git_log"}},
        {"resource": {"type": "document", "id": "repo/git_log"}},
    ],
)
async def test_what_is_no_call_goes_to_the_policy_as_it_is(
    plane: Plane, change: dict[str, Any]
) -> None:
    """Without a manifest and without roles: a policy has to say something of it by itself."""
    await plane.ask("POST", ONE, CALL | change)
    [(asked, (scope, document))] = plane.evaluating.asked
    assert (asked.roles, scope) == ((), "repo/git_log")
    assert document["resource"]["manifest"] is None
    assert document["subject"]["roles"] == []


async def test_properties_reach_the_policy(plane: Plane) -> None:
    """Of subject, action and resource, and the context."""
    await plane.ask("POST", ONE, RECORD, by="acme")
    [(asked, (_, document))] = plane.evaluating.asked
    told = [document[name]["properties"] for name in ("subject", "action", "resource")]
    assert told == [{"role": "admin"}, {"soft": True}, {"status": "new"}]
    assert (document["context"], asked.tenant) == ({"ip": "192.0.2.1"}, "acme")


@pytest.mark.parametrize(
    ("enforces", "decision"), [([], False), (["dry_run"], False), (["dry_run", "mask"], True)]
)
async def test_an_obligation_nobody_promises_to_meet_is_a_deny(
    plane: Plane, enforces: list[str], decision: bool
) -> None:
    """Whoever overlooks a mask would show what it hides."""
    plane.evaluating.obligations = MASK
    body = CALL | {"context": {"enforces": enforces}}
    answer = (await plane.ask("POST", ONE, body))[1]
    assert answer["decision"] is decision
    ids = [why["id"] for why in answer["context"]["reasons"]]
    assert ("obligation-unknown" in ids) is not decision
    assert answer["context"]["obligations"] == [{"type": "mask", "path": "/result/email"}]


@pytest.mark.parametrize("verdict", [Verdict.DENY, Verdict.HOLD, Refused.because("killed")])
async def test_everything_but_an_allow_is_false(plane: Plane, verdict: Verdict | Exception) -> None:
    """With 200: the question was answered."""
    plane.evaluating.verdict = verdict
    status, answer = await plane.ask("POST", ONE, CALL)
    assert (status, answer["decision"]) == (200, False)
    assert answer["context"]["verdict"] in {"deny", "hold"}


async def test_without_a_decision_point_everything_is_a_deny() -> None:
    """Fail closed."""
    request = Request({"type": "http", "query_string": b"", "headers": []}, _sent(CALL))
    answer = await AuthzenRoutes(None, "http").evaluation(OPERATORS["acme"], request)
    told = json.loads(bytes(answer.body))
    assert told["decision"] is False
    assert told["context"]["reasons"][0]["id"] == "policy-unavailable"


def _sent(body: Any) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    return receive


async def test_a_ledger_that_is_away_is_no_decision(plane: Plane) -> None:
    """503, and no `decision` that somebody could read."""
    plane.evaluating.verdict = StoreUnavailable("gone")
    status, answer = await plane.ask("POST", MANY, CALL | {"evaluations": [{}]})
    assert (status, answer["code"]) == (503, "store-unavailable")


@pytest.mark.parametrize(
    ("by", "tenant", "status", "code"),
    [
        ("chief", None, 400, "tenant-required"),
        ("chief", "globex", 200, None),
        ("acme", None, 200, None),
        ("acme", "globex", 403, "not-covered"),
        ("both", None, 403, "not-covered"),
        ("homeless", None, 403, "not-covered"),
        ("chief", 7, 400, "invalid-evaluation"),
        ("chief", "a/b", 400, "invalid-evaluation"),
    ],
)
async def test_operators_ask_about_their_tenants(
    plane: Plane, by: str, tenant: Any, status: int, code: str | None
) -> None:
    """The only tenant of one is the usual."""
    subject = {"type": "agent", "id": "loop", "properties": {"tenant": tenant} if tenant else {}}
    got, answer = await plane.ask("POST", ONE, CALL | {"subject": subject}, by=by)
    assert (got, answer.get("code")) == (status, code)


ITEMS = [
    {"resource": {"type": "tool", "id": "repo/git_show"}},
    {"subject": {"type": "agent", "id": "loop", "properties": {"tenant": "acme", "roles": 7}}},
    {"context": "no object"},
    7,
    {},
]


@pytest.mark.parametrize(
    ("semantic", "decisions"),
    [
        (None, [True, False, False, False, True]),
        ("execute_all", [True, False, False, False, True]),
        ("deny_on_first_deny", [True, False]),
        ("permit_on_first_permit", [True]),
    ],
)
async def test_a_batch_is_answered_in_order(
    plane: Plane, semantic: str | None, decisions: list[bool]
) -> None:
    """An entity that is left out is the default's; one that is wrong is its own deny."""
    options = {"options": {"evaluations_semantic": semantic, "more": 1}} if semantic else {}
    status, answer = await plane.ask("POST", MANY, CALL | options | {"evaluations": ITEMS})
    assert status == 200
    assert [one["decision"] for one in answer["evaluations"]] == decisions
    if False in decisions:
        assert answer["evaluations"][1]["context"]["error"]["status"] == 400
    assert plane.evaluating.asked[0][1].resource_id == "repo/git_show"


@pytest.mark.parametrize("more", [{}, {"evaluations": []}])
async def test_a_batch_of_none_is_one_request(plane: Plane, more: dict[str, Any]) -> None:
    """As section 7.1 has it, for clients of both."""
    assert (await plane.ask("POST", MANY, CALL | more))[1]["decision"] is True


@pytest.mark.parametrize("path", [ONE, MANY])
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"{", b'{"subject":"ann"}'])
async def test_what_is_no_request_is_refused(plane: Plane, path: str, body: bytes) -> None:
    """400, as section 10.1.2 has it."""
    headers = {"authorization": plane.bearer("evaluate"), "content-type": "application/json"}
    answer = await plane.client.post(path, content=body, headers=headers)
    assert answer.status_code == 400
    assert plane.evaluating.asked == []


@pytest.mark.parametrize("by", ["evaluate", "view", "dta_nobody"])
async def test_the_request_id_comes_back_whatever_happens(plane: Plane, by: str) -> None:
    """On refusals too: that is what it is for."""
    headers = {"authorization": plane.bearer(by) if by in OPERATORS else by, "x-request-id": "r 7"}
    answer = await plane.client.post(ONE, json=RECORD, headers=headers)
    assert answer.headers["x-request-id"] == "r 7"


async def test_metadata_names_the_endpoints(plane: Plane) -> None:
    """Under the name the client has used, which the guard knows."""
    status, answer = await plane.ask("GET", "/.well-known/authzen-configuration")
    base = "http://detent.test:8788"
    assert (status, answer["policy_decision_point"]) == (200, base)
    assert answer["access_evaluation_endpoint"] == base + ONE
    assert answer["access_evaluations_endpoint"] == base + MANY


@pytest.mark.parametrize("path", [ONE, MANY])
async def test_answers_are_as_the_document_says(plane: Plane, path: str) -> None:
    """A deny by error, a deny by policy, an allow."""
    schema = AUTHZEN["POST", path]["responses"]["200"]["content"]["application/json"]["schema"]
    bodies = [CALL | {"evaluations": ITEMS}, CALL, RECORD]
    for body in bodies:
        answer = (await plane.ask("POST", path, body))[1]
        jsonschema_rs.validator_for(schema).validate(answer)
