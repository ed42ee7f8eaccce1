"""OPA's answer, read strictly."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import PolicyUnavailable
from proxy.pdp.answer import MAX_ANSWER_BYTES, OtherRevision, parse_answer
from proxy.pdp.base import QueryAnswer


def answer(bundles: Any, **more: Any) -> bytes:
    """Encode an answer."""
    return json.dumps({"provenance": {"bundles": bundles}, **more}).encode()


OURS = {"/policies": {"revision": "r1"}, "/authz": {"revision": ""}}


def test_a_result_under_the_expected_revision_is_taken() -> None:
    """Other bundles, such as an authorisation policy, may be there too."""
    assert parse_answer(200, answer(OURS, result=[1]), "r1") == QueryAnswer([1], "r1")


def test_no_result_is_undefined() -> None:
    """OPA leaves `result` out."""
    assert parse_answer(200, answer(OURS), "r1") == QueryAnswer(None, "r1")


@pytest.mark.parametrize(
    "bundles",
    [{}, {"/policies": {"revision": "r0"}}, {"/policies": {}}, {"/policies": None}, [], None, "r1"],
)
def test_any_other_revision_is_refused(bundles: Any) -> None:
    """Also when OPA tells none, or tells it in another shape."""
    with pytest.raises(OtherRevision, match="not policy revision r1"):
        parse_answer(200, answer(bundles, result=1), "r1")


def test_an_empty_revision_matches_nothing() -> None:
    """A bundle without a revision is not the one we staged."""
    with pytest.raises(OtherRevision):
        parse_answer(200, answer(OURS, result=1), "")


@pytest.mark.parametrize("status", [100, 201, 204, 302, 400, 401, 404, 500, 503])
def test_only_200_is_an_answer(status: int) -> None:
    """Even when the body looks right."""
    with pytest.raises(PolicyUnavailable, match=f"status {status}"):
        parse_answer(status, answer(OURS, result=1), "r1")


def test_too_much_is_no_answer() -> None:
    """One byte over the limit."""
    body = answer(OURS, result=1)
    with pytest.raises(PolicyUnavailable, match="more than"):
        parse_answer(200, body + b" " * (MAX_ANSWER_BYTES - len(body) + 1), "r1")


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    """Whatever comes is an answer or PolicyUnavailable."""
    with pytest.raises(PolicyUnavailable):
        parse_answer(200, body, "r1")
