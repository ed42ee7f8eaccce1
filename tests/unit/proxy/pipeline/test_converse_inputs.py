"""The requests that results hold: of tools that need input, and of tasks that wait for some."""

import json

import pytest

from proxy.model.ledger import Outcome
from proxy.upstream.base import UpstreamResult
from tests.unit.proxy.pipeline.conftest import House

SAMPLING = "sampling/createMessage"
DEEP = b'{"inputRequests":' + b"[" * 100_000


def wanting(*methods: str) -> UpstreamResult:
    """Return the answer of a tool that wants these requests answered first."""
    requests = {str(number): {"method": method} for number, method in enumerate(methods)}
    return UpstreamResult(json.dumps({"inputRequests": requests}).encode(), needs_input=True)


async def test_the_input_a_tool_wants_is_decided_like_a_question(house: House) -> None:
    """A stateless server puts its questions into a result: the same policy has its say."""
    house.tool.answer = wanting(SAMPLING, SAMPLING)
    answer = await house.call("read_file")
    assert answer.outcome is Outcome.INPUT_REQUIRED
    assert [one["action"]["name"] for one in house.engine.inputs[1:]] == [SAMPLING, SAMPLING]


@pytest.mark.parametrize("methods", [("elicitation/create",), (SAMPLING, "vendor/ask"), ("",)])
async def test_input_that_policy_refuses_is_never_asked_for(
    house: House, methods: tuple[str, ...]
) -> None:
    """The client sees no part of it, and nothing is held: the tool has not acted."""
    house.tool.answer = wanting(*methods)
    answer = await house.call("read_file")
    assert (answer.outcome, answer.result) == (Outcome.FAILED, None)


SPELLED = rb'"input\u0052equests":{"k":{"method":"%b"}}'


@pytest.mark.parametrize(
    ("method", "is_shown"),
    [(SAMPLING.encode(), True), (b"elicitation/create", False), (b"", False)],
)
@pytest.mark.parametrize(
    "form", [b'{"status":"input_required",%b}', b'{"taskId":"\\u0041",%b}', b"{%b}"]
)
async def test_the_input_a_task_waits_for_is_decided_like_a_question(
    house: House, form: bytes, method: bytes, is_shown: bool
) -> None:
    """In what `tasks/get` says of it, however the server spells its names."""
    for spelled in (SPELLED, SPELLED.replace(rb"\u0052", b"R")):
        house.tool.answer = UpstreamResult(form % (spelled % method))
        answer = await house.call("read_file")
        assert (answer.outcome, answer.result is not None) == (Outcome.DONE, is_shown)


@pytest.mark.parametrize(
    "result",
    [b'{"inputRequests":[]}', b'{"inputRequests":{"a":1}}', b'[{"inputRequests":{}}]', DEEP],
)
async def test_malformed_wishes_are_nobodys_question(house: House, result: bytes) -> None:
    """What is no request cannot be decided on; what holds none is a result like others."""
    house.tool.answer = UpstreamResult(result)
    answer = await house.call("read_file")
    assert (answer.result is None) is (b"1" in result or result == DEEP)
