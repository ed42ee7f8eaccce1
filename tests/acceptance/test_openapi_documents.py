"""Both OpenAPI documents against the running gateway: what is taken, refused and answered."""

import asyncio
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig

from proxy.ingress.agents import agents_api
from proxy.ingress.operator import OperatorPorts, operations_of, operator_api
from tests.harness.gateway import Gateway

NOBODY = cast("Any", None)
ALWAYS = (
    "content_type_conformance",
    "not_a_server_error",
    "response_schema_conformance",
    "status_code_conformance",
)
REFUSED = ["400", "401", "403", "404", "409", "411", "413", "414", "415", "422", "431"]
EXAMPLES = 10
FEW = dict.fromkeys(("/v1/policy/reload", "/v1/policy/rollback"), 2)  # each loads a policy

load_all_checks()


def agents() -> dict[str, Any]:
    """Return the document of the agents' plane."""
    return agents_api(NOBODY, dict).openapi()


def operators() -> dict[str, Any]:
    """Return the document of the operators' plane."""
    ports = OperatorPorts(NOBODY, NOBODY, NOBODY, NOBODY, {}, NOBODY)
    return operator_api(NOBODY, operations_of(ports)).openapi()


def try_operation(operation: Any, url: str, token: str, mode: GenerationMode) -> None:
    """Send generated requests of one operation; every answer must be as the document says."""
    names = (*ALWAYS, "negative_data_rejection") if mode.is_negative else ALWAYS
    checks = cast("Any", [CHECKS.get_one(name) for name in names])

    @settings(
        max_examples=FEW.get(operation.path, EXAMPLES),
        deadline=None,
        database=None,
        derandomize=True,  # other inputs are `make fuzz`'s to look for
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        answer = case.call(base_url=url, headers=headers, timeout=30)
        case.validate_response(answer, checks=checks)

    send()


def try_all(document: dict[str, Any], url: str, token: str) -> int:
    """Try every operation with requests that fit the document and with such as do not."""
    refused = {"negative_data_rejection": {"expected-statuses": REFUSED}}
    config = SchemathesisConfig.from_dict({"checks": refused})
    schema = schemathesis.openapi.from_dict(document, config=config)
    operations = [cast("Any", result).ok() for result in schema.get_all_operations()]
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode.is_positive or operation.body or operation.query:
                try_operation(operation, url, token, mode)
    return len(operations)


async def test_the_agents_plane_does_what_its_document_says(gateway: Gateway) -> None:
    """Sessions, calls and hooks."""
    token = gateway.world.agent_token
    assert await asyncio.to_thread(try_all, agents(), gateway.agents, token) >= 4
    assert "internal error" not in gateway.text


async def test_the_operators_plane_does_what_its_document_says(gateway: Gateway) -> None:
    """Every row of the table; it kills and lifts on the way."""
    token = gateway.world.operator_token
    tried = await asyncio.to_thread(try_all, operators(), gateway.operators, token)
    assert tried == len(operations_of(OperatorPorts(NOBODY, NOBODY, NOBODY, NOBODY, {}, NOBODY)))
    assert "internal error" not in gateway.text


@pytest.mark.parametrize("document", [agents(), operators()], ids=["agents", "operators"])
def test_a_document_says_who_may_ask_and_how_refusals_look(document: dict[str, Any]) -> None:
    """A token everywhere, and problems by their own media type."""
    assert document["security"] == [{"token": []}]
    operations = [one for item in document["paths"].values() for one in item.values()]
    for operation in operations:
        assert "422" not in operation["responses"] or operation["operationId"] != "end_session"
        refused = operation["responses"]["401"]["content"]
        assert "application/problem+json" in refused
