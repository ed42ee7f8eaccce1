import hashlib
from dataclasses import replace
from typing import Any

import httpx
import pytest

from proxy.errors import PolicyInvalid, PolicyUnavailable, PolicyUndelivered
from proxy.ingress.guard import GuardSettings
from proxy.ingress.operator import operator_app
from tests.harness.operators import HOST, Plane, Policies


@pytest.fixture
def live(plane: Plane) -> Policies:
    """The policy in force, signed."""
    plane.policies.packed = b"packed"
    return plane.policies


PROMOTE = ("/v1/policy/promote", {"revision": "sha256:2", "reason": "why"})
ROLLBACK = ("/v1/policy/rollback", {"reason": "why"})


async def test_the_status_is_told_to_who_may_view(plane: Plane) -> None:
    """As it is."""
    assert await plane.ask("GET", "/v1/policy", by="view") == (200, plane.policies.told)


@pytest.mark.parametrize(
    ("path", "body", "revision"), [(*PROMOTE, "sha256:2"), (*ROLLBACK, "sha256:0")]
)
async def test_a_change_is_made_and_written_down(
    plane: Plane, live: Policies, path: str, body: Any, revision: str
) -> None:
    """Who, what, why."""
    answer = await plane.ask("POST", path, body, by="policy")
    assert answer == (200, {"policy_revision": revision})
    assert live.done == [revision]
    [record] = await plane.store.decisions(10, ("*",))
    assert record.agent == "operator:policy"
    assert record.resource_id == f"operators/{path.rpartition('/')[2]}-policy"
    assert record.reasons[0].message.endswith("why")


async def test_what_to_go_back_to_may_be_named(plane: Plane, live: Policies) -> None:
    """As text."""
    asked = {"revision": "sha256:7"}
    answer = await plane.ask("POST", "/v1/policy/rollback", asked, by="policy")
    assert answer == (200, {"policy_revision": "sha256:7"})
    for odd in (7, "x" * 201):
        status, told = await plane.ask("POST", "/v1/policy/rollback", {"revision": odd})
        assert (status, told["code"]) == (400, "revision-required")
    assert live.done == ["sha256:7"]


@pytest.mark.parametrize("change", [PROMOTE, ROLLBACK])
@pytest.mark.parametrize(
    ("fails", "told"),
    [
        (PolicyInvalid("main.rego:3: bad"), (422, "policy-invalid")),
        (PolicyInvalid(""), (422, "policy-invalid")),
        (PolicyUnavailable("late"), (503, "policy-unavailable")),
        (PolicyUndelivered("bundle.tar.gz cannot be read"), (503, "policy-undelivered")),
    ],
)
async def test_a_change_that_fails_is_told(
    plane: Plane, live: Policies, change: tuple[str, Any], fails: Exception, told: tuple[int, str]
) -> None:
    """With file, line and cure for who can mend it."""
    live.fails = fails
    status, answer = await plane.ask("POST", *change)
    assert (status, answer["code"]) == told


@pytest.mark.parametrize(("path", "body"), [PROMOTE, ROLLBACK])
async def test_nothing_changes_without_a_record_or_the_right(
    plane: Plane, live: Policies, path: str, body: Any
) -> None:
    """It decides for every tenant, and what cannot be recorded is not done."""
    assert (await plane.ask("POST", path, body, by="acme"))[0] == 403
    plane.store.broken = True
    assert (await plane.ask("POST", path, body))[0] == 503
    assert live.done == []


@pytest.mark.parametrize("body", [{}, {"revision": ""}, {"revision": 1}, {"revision": "x" * 201}])
async def test_a_promotion_names_what_was_looked_at(
    plane: Plane, live: Policies, body: Any
) -> None:
    """Not whatever stands there by now."""
    status, answer = await plane.ask("POST", "/v1/policy/promote", body)
    assert (status, answer["code"], live.done) == (400, "revision-required", [])


@pytest.mark.usefixtures("live")
async def test_the_archive_is_given_once(plane: Plane) -> None:
    """By its digest; who has it is told so."""
    tag = f'"{hashlib.sha256(b"packed").hexdigest()}"'
    headers = {"authorization": plane.bearer("pull")}
    first = await plane.client.get("/v1/policy/bundle", headers=headers)
    assert (first.status_code, first.content, first.headers["etag"]) == (200, b"packed", tag)
    again = await plane.client.get("/v1/policy/bundle", headers={**headers, "if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


async def test_there_may_be_no_archive(plane: Plane, live: Policies) -> None:
    """A directory is not signed."""
    live.packed = b""
    status, answer = await plane.ask("GET", "/v1/policy/bundle")
    assert (status, answer["code"]) == (404, "no-signed-bundle")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/policy"), ("GET", "/v1/policy/bundle"), ("POST", ROLLBACK[0])]
)
async def test_without_a_policy_of_our_own_there_is_nothing(
    plane: Plane, method: str, path: str
) -> None:
    """A port that stands alone."""
    app = operator_app(replace(plane.ports, live=None), GuardSettings(frozenset({HOST})))
    headers = {"authorization": plane.bearer("chief")}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=f"http://{HOST}"
    ) as client:
        answer = await client.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-here")
