from typing import Any

import jsonschema_rs
import pytest

from proxy.errors import BadRequest
from proxy.ingress.authzen_openapi import AUTHZEN
from proxy.ingress.authzen_requests import batch_of, evaluation_of

WHOLE: dict[str, Any] = {
    "subject": {"type": "user", "id": "ann"},
    "action": {"name": "read"},
    "resource": {"type": "record", "id": "1"},
}
CHANGES: list[dict[str, Any]] = [
    {},
    {"foo": 1},
    {"subject": None},
    {"action": {"name": 7}},
    {"resource": {"type": "record"}},
    {"context": []},
    {"evaluations": []},
    {"evaluations": [7]},
    {"evaluations": {}},
    {"evaluations": [{}] * 101},
    {"evaluations": [{}], "options": []},
    {"evaluations": [{}], "options": {"evaluations_semantic": "x"}},
]


def is_taken(read: Any, value: dict[str, Any]) -> bool:
    try:
        return read(value) is not None or bool(evaluation_of(value))
    except BadRequest:
        return False


@pytest.mark.parametrize("change", CHANGES)
def test_a_request_fits_the_document_when_it_is_taken(change: dict[str, Any]) -> None:
    """The two descriptions of a request are one."""
    for path, read in (("evaluation", evaluation_of), ("evaluations", batch_of)):
        told = AUTHZEN["POST", f"/access/v1/{path}"]["requestBody"]["content"]
        fits = jsonschema_rs.validator_for(told["application/json"]["schema"])
        assert fits.is_valid(WHOLE | change) is is_taken(read, WHOLE | change)
