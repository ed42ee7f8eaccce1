import json
import re

import jsonschema_rs
import pytest

from proxy.errors import BadRequest
from proxy.ingress.operator_openapi import DESCRIBED
from proxy.ingress.operator_requests import scope_of

KILL = DESCRIBED["POST", "/killswitch"]["requestBody"]["content"]["application/json"]["schema"]
SCOPE = jsonschema_rs.validator_for(KILL["properties"]["scope"])


@pytest.mark.parametrize(
    "scope",
    [
        "global",
        "tenant:acme",
        "agent:acme/loop",
        "session:s",
        "tool:repo/x",
        {"kind": "global"},
        {"kind": "tenant", "id": "acme"},
        {"kind": "tool", "id": "a/b"},
        "tenant:",
        "agent:acme",
        "global:x",
        "tenant:a/b",
        {"kind": "agent", "id": "x"},
        {"kind": "tenant"},
        {"kind": "tenant", "id": "a", "x": 1},
        "",
        7,
        None,
    ],
)
def test_a_scope_fits_the_document_when_it_is_taken(scope: object) -> None:
    """The two descriptions of a scope are one."""
    try:
        scope_of(scope)
        is_taken = True
    except BadRequest:
        is_taken = False
    assert SCOPE.is_valid(scope) is is_taken


def test_every_path_parameter_is_described() -> None:
    """In the path and among the parameters."""
    for (_, path), told in DESCRIBED.items():
        named = {one["name"] for one in told.get("parameters", ()) if one["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_every_schema_is_one() -> None:
    """They compile, each by itself."""
    for told in DESCRIBED.values():
        for answer in told["responses"].values():
            for media in answer.get("content", {}).values():
                if "$ref" not in json.dumps(media):
                    jsonschema_rs.validator_for(media["schema"])
