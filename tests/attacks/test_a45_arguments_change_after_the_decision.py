"""A45: arguments mutated after the allow, by aliasing or a concurrent change."""

import asyncio
import hashlib
import json

import pytest

from proxy.model.call import Door, ToolCall
from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World


def test_a45_the_canonical_call_cannot_be_changed() -> None:
    """Frozen, and its arguments are bytes: there is nothing to alias."""
    call = ToolCall("rec", "write", b'{"text":"a"}', Door.CALLS)
    with pytest.raises(AttributeError):
        call.arguments = b"{}"  # type: ignore[misc]
    assert isinstance(call.arguments, bytes)


async def test_a45_many_calls_at_once_never_mix(world: World, recorder: Recorder) -> None:
    """What each call was decided on, by its hash in the audit, is what the tool received."""
    world.deadline = "10s"
    texts = [f"text {n}" for n in range(200)]
    async with Gateway(world) as gateway:
        answers = await asyncio.gather(*(gateway.call("write", {"text": text}) for text in texts))
        assert {status for status, _ in answers} == {200}
        _, log = await gateway.operate("GET", "/v1/decisions?limit=500")
    decided = {row["arguments_sha256"] for row in log["decisions"] if row["verdict"] == "allow"}
    received = {hashlib.sha256(request.body).hexdigest() for request in recorder.received}
    assert decided == received
    assert {json.loads(request.body)["text"] for request in recorder.received} == set(texts)
