from typing import Any

import jsonschema_rs
import pytest

from proxy.ingress.operator_policy_openapi import policy_described

DESCRIBED = policy_described({"type": "string"})
STATUS: dict[str, Any] = {
    "replica": "host:1",
    "policy_revision": "sha256:1",
    "loaded_at": "2026-11-22T09:00:00Z",
    "offered": "sha256:1",
    "number": None,
    "previous": None,
    "refused": None,
    "shadow": None,
}
SHADOW = {"revision": None, "counts": {"same": 1}, "problem": "broken"}


def schema_of(method: str, path: str) -> Any:
    return DESCRIBED[method, path]["responses"]["200"]["content"]["application/json"]["schema"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"number": 7, "previous": "sha256:0", "shadow": SHADOW},
        {"refused": {"at": STATUS["loaded_at"], "message": "m"}},
    ],
)
def test_every_status_is_described(more: dict[str, Any]) -> None:
    """What may be missing may be null."""
    assert jsonschema_rs.is_valid(schema_of("GET", "/v1/policy"), STATUS | more)
    assert not jsonschema_rs.is_valid(schema_of("GET", "/v1/policy"), STATUS | {"token": "x"})


def test_a_promotion_needs_its_revision() -> None:
    """The description says so too."""
    body = DESCRIBED["POST", "/v1/policy/promote"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    assert body["required"]
    assert jsonschema_rs.is_valid(schema, {"revision": "sha256:1"})
    assert not jsonschema_rs.is_valid(schema, {"reason": "why"})
