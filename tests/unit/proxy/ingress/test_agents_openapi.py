import json

import jsonschema_rs

from proxy.ingress.agents_openapi import CALLS
from proxy.model.ledger import Outcome
from proxy.model.step import Answer
from proxy.pipeline.document import HTTP_OF, outcome_document

POST = CALLS["/v1/calls"]["post"]


def test_an_outcome_document_is_as_described() -> None:
    """Whatever the outcome."""
    schema = POST["responses"]["200"]["content"]["application/json"]["schema"]
    for outcome in Outcome:
        answer = Answer("stp_1", "allow", (), outcome, result=b'{"x":1}', preview={"a": 1})
        jsonschema_rs.validator_for(schema).validate(json.loads(outcome_document(answer)))


def test_every_status_of_an_outcome_is_described() -> None:
    """Refusals may be outcome documents or problems."""
    assert {str(status) for status in HTTP_OF.values()} <= set(POST["responses"])
    assert len(POST["responses"]["403"]["content"]) == 2
