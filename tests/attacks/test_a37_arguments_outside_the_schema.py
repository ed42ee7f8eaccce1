"""A37: arguments that violate the pinned schema."""

from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder


@pytest.mark.parametrize(
    "arguments",
    [
        {"text": ["list", "where", "string"]},
        {"text": "x", "extra": True},
        {"Text": "x"},
        {"n": "1"},
        {"n": None},
        {"text": {"$ref": "#"}},
    ],
)
async def test_a37_a_violation_is_refused_before_policy(
    gateway: Gateway, recorder: Recorder, arguments: dict[str, Any]
) -> None:
    """400 with the place, 0 bytes at the tool."""
    status, answer = await gateway.call("write", arguments)
    assert (status, answer["reasons"][0]["id"]) == (400, "arguments-invalid")
    assert answer["policy_revision"] == ""
    assert recorder.received == []


@pytest.mark.parametrize("arguments", [[], "x", 7, None, True])
async def test_a37_arguments_that_are_no_object_are_refused(
    gateway: Gateway, recorder: Recorder, arguments: Any
) -> None:
    """400, 0 bytes at the tool."""
    body = {"server": "rec", "tool": "write", "arguments": arguments}
    status, _ = await gateway.ask("POST", "/v1/calls", body)
    assert status == 400
    assert recorder.received == []
