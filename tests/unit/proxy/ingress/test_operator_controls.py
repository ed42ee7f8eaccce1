from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.ingress.operator_policy import MAX_DETAIL_CHARS
from proxy.model.kill import Scope, ScopeKind
from proxy.model.ledger import Limits
from tests.harness.operators import Plane

ACME = Scope(ScopeKind.TENANT, "acme")


async def lock(plane: Plane) -> None:
    await plane.store.lock_agent("acme", "loop", "canary", datetime.now(UTC))


async def test_dry_run_is_switched_on_and_off(plane: Plane) -> None:
    """The answer names the scope."""
    body = {"scope": "tenant:acme"}
    status, answer = await plane.ask("PUT", "/v1/dry-run", body)
    assert (status, answer) == (200, {"scopes": [{"kind": "tenant", "id": "acme"}], "on": True})
    assert await plane.store.dry_run_scopes() == (ACME,)
    status, answer = await plane.ask("DELETE", "/v1/dry-run", body)
    assert (status, answer["on"]) == (200, False)
    assert await plane.store.dry_run_scopes() == ()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "scope-required"),
        ({"reason": "x"}, "scope-required"),
        ({"scope": "tool:repo/git_commit"}, "invalid-scope"),
        ({"scope": "nothing"}, "invalid-scope"),
        ({"scope": "global", "on": False}, "unknown-member"),
    ],
)
async def test_a_bad_toggle_is_refused(plane: Plane, body: Any, code: str) -> None:
    """No scope is guessed: switching off everything takes the word global."""
    for method in ("PUT", "DELETE"):
        status, answer = await plane.ask(method, "/v1/dry-run", body)
        assert (status, answer["code"]) == (400, code)
    assert await plane.store.dry_run_scopes() == ()


@pytest.mark.parametrize("scope", ["global", "tenant:globex", "agent:globex/loop", "session:nope"])
async def test_a_foreign_toggle_is_refused(plane: Plane, scope: str) -> None:
    """An operator of one tenant switches nothing for another."""
    for method in ("PUT", "DELETE"):
        status, answer = await plane.ask(method, "/v1/dry-run", {"scope": scope}, by="acme")
        assert (status, answer["code"]) == (403, "not-covered")


async def test_an_agent_is_unlocked_with_a_reason(plane: Plane) -> None:
    """A second time there is nothing to unlock."""
    session = await plane.session()
    await lock(plane)
    path, body = "/v1/agents/acme/loop/unlock", {"reason": "false alarm"}
    assert await plane.ask("POST", path, body, by="lift") == (200, {"unlocked": True})
    assert await plane.ask("POST", path, body, by="lift") == (200, {"unlocked": False})
    view = await plane.store.view(session, Limits(100, 100, 60), datetime.now(UTC))
    assert view.locked is None


@pytest.mark.parametrize(
    ("by", "path", "body", "status"),
    [
        ("chief", "/v1/agents/acme/loop/unlock", {}, 400),
        ("chief", "/v1/agents/acme/loop/unlock", {"reason": " "}, 400),
        ("chief", "/v1/agents/acme/loop/unlock?force=1", {"reason": "x"}, 400),
        ("globex", "/v1/agents/acme/loop/unlock", {"reason": "x"}, 403),
        ("homeless", "/v1/agents/acme/loop/unlock", {"reason": "x"}, 403),
        ("kill", "/v1/agents/acme/loop/unlock", {"reason": "x"}, 403),
    ],
)
async def test_an_agent_stays_locked(
    plane: Plane, by: str, path: str, body: Any, status: int
) -> None:
    """Without a reason, for another tenant's operator, or without the role."""
    session = await plane.session()
    await lock(plane)
    assert (await plane.ask("POST", path, body, by=by))[0] == status
    view = await plane.store.view(session, Limits(100, 100, 60), datetime.now(UTC))
    assert view.locked is not None


async def test_the_policy_is_loaded_again(plane: Plane) -> None:
    """The answer names what is in force now."""
    answer = await plane.ask("POST", "/v1/policy/reload", by="policy")
    assert answer == (200, {"policy_revision": "sha256:1"})
    assert plane.reloads == ["sha256:1"]


async def test_an_older_policy_is_admitted_when_it_is_wanted(plane: Plane) -> None:
    """By saying so, and in no other way."""
    await plane.ask("POST", "/v1/policy/reload", {"older": True})
    await plane.ask("POST", "/v1/policy/reload", {"older": False})
    status, answer = await plane.ask("POST", "/v1/policy/reload", {"older": 1})
    assert (status, answer["code"]) == (400, "invalid-older")
    assert plane.admitted_older == [True, False]


async def test_a_broken_policy_is_told_with_its_place(plane: Plane) -> None:
    """File, line and cure, for the person who can mend it; bounded."""
    plane.revision = PolicyInvalid("main.rego:3: unexpected token" + "x" * 10_000)
    status, answer = await plane.ask("POST", "/v1/policy/reload", by="policy")
    assert (status, answer["code"]) == (422, "policy-invalid")
    assert answer["detail"].startswith("main.rego:3: unexpected token")
    assert len(answer["detail"]) == MAX_DETAIL_CHARS


async def test_an_engine_that_does_not_answer_is_said(plane: Plane) -> None:
    """The last good policy is still there."""
    plane.revision = PolicyUnavailable("refused: token abc")
    status, answer = await plane.ask("POST", "/v1/policy/reload")
    assert (status, answer["code"]) == (503, "policy-unavailable")
    assert "abc" not in str(answer)


async def test_the_policy_of_all_is_loaded_by_operators_of_all(plane: Plane) -> None:
    """It decides for every tenant."""
    status, answer = await plane.ask("POST", "/v1/policy/reload", by="acme")
    assert (status, answer["code"]) == (403, "not-covered")
    assert plane.reloads == []


CHANGES = [
    ("PUT", "/v1/dry-run", {"scope": "agent:acme/loop", "reason": "why"}, "acme", "dry-run-on"),
    ("DELETE", "/v1/dry-run", {"scope": "tenant:acme", "reason": "why"}, "acme", "dry-run-off"),
    ("POST", "/v1/agents/acme/loop/unlock", {"reason": "why"}, "acme", "unlock-agent"),
    ("POST", "/v1/policy/reload", {"reason": "why"}, "", "reload-policy"),
    ("PUT", "/v1/dry-run", {"scope": "global", "reason": "why"}, "", "dry-run-on"),
    ("PUT", "/v1/dry-run", {"scope": "session:ses_x", "reason": "why"}, "", "dry-run-on"),
]


@pytest.mark.parametrize(("method", "path", "body", "tenant", "action"), CHANGES)
async def test_every_change_is_in_the_audit_log(
    plane: Plane, method: str, path: str, body: Any, tenant: str, action: str
) -> None:
    """Who, what and why, under the tenant it touches."""
    assert (await plane.ask(method, path, body))[0] == 200
    [record] = await plane.store.decisions(10, ("*",))
    assert (record.tenant, record.agent) == (tenant, "operator:chief")
    assert record.resource_id == f"operators/{action}"
    assert record.reasons[0].message.endswith("why")


async def test_a_change_of_a_session_is_its_tenants(plane: Plane) -> None:
    """Operators of that tenant find it among their decisions, others do not."""
    session = await plane.session("globex")
    await plane.ask("PUT", "/v1/dry-run", {"scope": f"session:{session.id}"}, by="both")
    assert len(await plane.store.decisions(10, ("globex",))) == 1
    assert await plane.store.decisions(10, ("acme",)) == ()


@pytest.mark.parametrize(("method", "path", "body", "tenant", "action"), CHANGES)
async def test_what_cannot_be_recorded_is_not_done(
    plane: Plane, method: str, path: str, body: Any, tenant: str, action: str
) -> None:
    """The audit record comes first."""
    await lock(plane)
    plane.store.broken = True
    assert (await plane.ask(method, path, body))[0] == 503
    plane.store.broken = False
    assert plane.reloads == []
    assert await plane.store.dry_run_scopes() == ()
    assert await plane.store.unlock_agent("acme", "loop")
