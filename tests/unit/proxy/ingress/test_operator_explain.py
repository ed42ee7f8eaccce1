"""The request for an explanation: found, of another tenant, not in the log, not to be had."""

import json
from typing import Any

import pytest
from starlette.requests import Request

from proxy.errors import BadRequest, PolicyInvalid
from proxy.ingress.operator_explain import EXPLAINED, Explain, ExplainRoutes
from proxy.model.session import Operator
from proxy.pdp.review.explain import Explanation, Fired, Looked

DECISION = "dec_-NxAb_" + "0" * 18
FOUND = Explanation(
    DECISION, "2026-01-01T00:00:00Z", "acme", "a", "s/t", "deny", "sha256:1",
    (Fired("r", "refuses it", "a-b", "No.", ("r.rego:1",), (Looked("a.b", None),)),),
)  # fmt: skip


def operator(*tenants: str) -> Operator:
    return Operator("oncall", ("view",), tenants)


def asked(query: bytes = b"", decision: str = DECISION) -> Request:
    scope = {"type": "http", "query_string": query, "path_params": {"decision": decision}}
    return Request(scope | {"headers": [], "method": "GET", "path": "/"})


def answering(found: Explanation | Exception | None) -> Explain:
    async def explain(decision_id: str) -> Explanation | None:
        assert decision_id == DECISION
        if isinstance(found, Exception):
            raise found
        return found

    return explain


async def test_an_operator_of_the_tenant_is_told() -> None:
    """Everything that the description has."""
    response = await ExplainRoutes(answering(FOUND)).explanation(operator("acme"), asked())
    document: dict[str, Any] = json.loads(bytes(response.body))
    assert document.keys() == EXPLAINED["properties"].keys()
    assert document["fired"][0]["looked_at"] == [{"path": "a.b", "value": None, "is_masked": False}]


@pytest.mark.parametrize(
    ("explain", "tenant"),
    [(answering(FOUND), "globex"), (answering(None), "acme"), (None, "acme")],
)
async def test_others_learn_nothing(explain: Explain | None, tenant: str) -> None:
    """Another tenant's decision is as absent as one that never was."""
    with pytest.raises(BadRequest) as refused:
        await ExplainRoutes(explain).explanation(operator(tenant), asked())
    assert (refused.value.http, refused.value.code) == (404, "not-found")


@pytest.mark.parametrize(
    "decision", ["dec_", "x" * 28, DECISION[:-1], DECISION + "0", "dec_" + "." * 24]
)
async def test_what_is_no_decision_is_not_looked_for(decision: str) -> None:
    """Whoever asks for a part of all ids would have the whole log read."""
    with pytest.raises(BadRequest) as refused:
        await ExplainRoutes(answering(FOUND)).explanation(operator("*"), asked(b"", decision))
    assert refused.value.http == 404


async def test_what_cannot_be_explained_now_is_told() -> None:
    """The bundle may just be going away."""
    routes = ExplainRoutes(answering(PolicyInvalid("gone")))
    with pytest.raises(BadRequest) as refused:
        await routes.explanation(operator("*"), asked())
    assert refused.value.http == 503


async def test_a_query_is_refused() -> None:
    """Nobody reads it."""
    with pytest.raises(BadRequest):
        await ExplainRoutes(answering(FOUND)).explanation(operator("*"), asked(b"x=1"))
