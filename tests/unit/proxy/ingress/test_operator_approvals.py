import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from proxy.ingress.operator_approvals import SHOWN_CHARS, approval_document
from proxy.model.approval import Approval, ApprovalState, Binding, sha256_of
from tests.harness.approving import BINDING, question
from tests.harness.operators import Plane

HOSTILE = {
    "bidi": "\u202edrop\u202c",
    "zero width": "a\u200bb",
    "tags": "\U000e0041",
    "terminal": "\x1b[2J",
    "delete": "a\x7fb",
    "astral": "\U0001f600",
    "markdown": "**ok** <script>",
}


async def ask(
    plane: Plane, approval_id: str = "apr_1", binding: Binding = BINDING, **changes: Any
) -> Approval:
    """Have an agent wait for an approval."""
    now = datetime.now(UTC)
    asked = question(approval_id, asked_at=now, expires_at=now + timedelta(minutes=15))
    asked = replace(asked, binding=binding, **changes)
    await plane.store.ask_approval(asked, 10)
    return asked


async def test_the_list_shows_what_would_be_sent(plane: Plane) -> None:
    """And all that it is bound to."""
    asked = await ask(plane)
    status, answer = await plane.ask("GET", "/v1/approvals", by="approve")
    assert status == 200
    (one,) = answer["approvals"]
    assert (one["id"], one["state"], one["tool"]) == ("apr_1", "pending", "repo/git_commit")
    assert (one["tenant"], one["agent"], one["effect"]) == ("acme", "loop", "irreversible")
    assert one["request"] == {
        "json": asked.request.decode(),
        "truncated": False,
        "bytes": len(asked.request),
        "sha256": sha256_of(asked.request),
    }
    assert (one["policy_revision"], one["tool_pin"]) == ("git:abc", "sha256:pin")
    assert one["reasons"][0]["id"] == "approval-required"
    assert (one["decided_by"], one["decided_at"]) == ("", None)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a48_hostile_text_is_shown_as_escapes(text: str) -> None:
    """Visible ASCII only, and still the JSON of the same value."""
    sent = json.dumps({"arguments": {"text": text}}, ensure_ascii=False).encode()
    shown = approval_document(question(request=sent))["request"]["json"]
    assert shown.isascii()
    assert shown.isprintable()
    assert json.loads(shown) == {"arguments": {"text": text}}


async def test_a48_a_huge_request_is_cut_with_its_hash_and_shown_whole_by_id(plane: Plane) -> None:
    """Nobody approves the end of it unseen."""
    sent = json.dumps({"arguments": {"text": "x" * SHOWN_CHARS + "the end"}}).encode()
    await ask(plane, request=sent)
    _, answer = await plane.ask("GET", "/v1/approvals")
    request = answer["approvals"][0]["request"]
    assert (request["truncated"], len(request["json"])) == (True, SHOWN_CHARS)
    assert (request["bytes"], request["sha256"]) == (len(sent), BINDING.request_sha256)
    _, whole = await plane.ask("GET", "/v1/approvals/apr_1")
    assert (whole["request"]["truncated"], whole["request"]["json"]) == (False, sent.decode())


@pytest.mark.parametrize(("verb", "state"), [("approve", "approved"), ("deny", "denied")])
async def test_an_operator_decides_once(plane: Plane, verb: str, state: str) -> None:
    """With a note; the second word is refused."""
    await ask(plane)
    status, answer = await plane.ask(
        "POST", f"/v1/approvals/apr_1/{verb}", {"reason": "as agreed"}, by="approve"
    )
    assert (status, answer["state"]) == (200, state)
    assert (answer["decided_by"], answer["note"]) == ("approve", "as agreed")
    for again in ("approve", "deny"):
        status, problem = await plane.ask("POST", f"/v1/approvals/apr_1/{again}")
        assert (status, problem["code"]) == (409, "approval-not-pending")
        assert state in problem["detail"]


async def test_a_decision_is_in_the_audit_log_before_it_is_made(plane: Plane) -> None:
    """Who, what and about which request; without the log nothing is approved."""
    await ask(plane)
    await plane.ask("POST", "/v1/approvals/apr_1/approve", {"reason": "fine"}, by="approve")
    (record,) = await plane.store.decisions(10, ("acme",))
    assert (record.agent, record.resource_id) == ("operator:approve", "operators/approve")
    assert record.reasons[0].message == "approve apr_1 repo/git_commit fine"
    assert record.arguments_sha256 == BINDING.request_sha256
    await ask(plane, "apr_2", replace(BINDING, request_sha256="1" * 64))
    plane.store.broken = True
    assert (await plane.ask("POST", "/v1/approvals/apr_2/approve"))[0] == 503
    plane.store.broken = False
    assert await state_of(plane, "apr_2") is ApprovalState.PENDING


async def test_two_operators_at_once_decide_once(plane: Plane) -> None:
    """The ledger has the last word; the slower one is told."""
    await ask(plane)
    raced: list[Any] = []
    record = plane.store.record

    async def meanwhile(decision: Any) -> None:
        await record(decision)
        if not raced:
            raced.append(await plane.ask("POST", "/v1/approvals/apr_1/deny", by="chief"))

    plane.store.record = meanwhile  # type: ignore[method-assign]  # another operator is faster
    status, problem = await plane.ask("POST", "/v1/approvals/apr_1/approve", by="approve")
    assert (status, problem["code"]) == (409, "approval-not-pending")
    assert await state_of(plane) is ApprovalState.DENIED


async def test_nobody_decides_under_the_agents_name(plane: Plane) -> None:
    """An agent that was given an operator token too."""
    await ask(plane, binding=replace(BINDING, agent="approve"))
    status, problem = await plane.ask("POST", "/v1/approvals/apr_1/approve", by="approve")
    assert (status, problem["code"]) == (403, "own-request")
    assert await state_of(plane) is ApprovalState.PENDING


async def test_approvals_of_others_do_not_exist(plane: Plane) -> None:
    """Not in a list, not by id, not to decide (I20)."""
    await ask(plane)
    assert (await plane.ask("GET", "/v1/approvals", by="globex"))[1] == {"approvals": []}
    assert (await plane.ask("GET", "/v1/approvals", by="homeless"))[1] == {"approvals": []}
    for method, tail in (("GET", ""), ("POST", "/approve"), ("POST", "/deny")):
        status, problem = await plane.ask(method, f"/v1/approvals/apr_1{tail}", by="globex")
        assert (status, problem["code"]) == (404, "not-found")
    assert await state_of(plane) is ApprovalState.PENDING


async def test_a_list_is_filtered_by_state_and_tenant(plane: Plane) -> None:
    """Pending without a word; `any` for all of them."""
    await ask(plane)
    await ask(plane, "apr_2", replace(BINDING, tenant="globex"))
    await plane.ask("POST", "/v1/approvals/apr_2/deny")
    wanted = {
        "": ["apr_1"],
        "?state=any": ["apr_2", "apr_1"],
        "?state=denied": ["apr_2"],
        "?state=used": [],
        "?state=any&tenant=acme": ["apr_1"],
        "?state=any&limit=1": ["apr_2"],
    }
    for query, ids in wanted.items():
        status, answer = await plane.ask("GET", f"/v1/approvals{query}")
        assert (status, [one["id"] for one in answer["approvals"]]) == (200, ids)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?state=open", 400, "invalid-state"),
        ("?tenant=globex", 403, "not-covered"),
        ("?agent=loop", 400, "unknown-parameter"),
        ("?limit=0", 400, "invalid-limit"),
    ],
)
async def test_a_bad_question_is_refused(plane: Plane, query: str, status: int, code: str) -> None:
    """A tenant that is not the operator's is not even empty."""
    got, problem = await plane.ask("GET", f"/v1/approvals{query}", by="acme")
    assert (got, problem["code"]) == (status, code)


async def test_a_bad_decision_is_refused(plane: Plane) -> None:
    """Nothing but a reason is taken, and nothing is decided meanwhile."""
    await ask(plane)
    bodies = ({"state": "approved"}, {"reason": 1}, {"reason": "x" * 2000})
    for body in bodies:
        assert (await plane.ask("POST", "/v1/approvals/apr_1/approve", body))[0] == 400
    assert (await plane.ask("POST", "/v1/approvals/apr_1/approve?force=1"))[0] == 400
    assert await state_of(plane) is ApprovalState.PENDING


async def state_of(plane: Plane, approval_id: str = "apr_1") -> ApprovalState:
    found = await plane.store.approval(approval_id, datetime.now(UTC))
    assert found is not None
    return found.state
