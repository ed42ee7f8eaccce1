"""A38: a rule reads a field that is absent: undefined must deny."""

import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

ALLOW = '{"verdict": "allow", "reasons": [{"id": "ok", "message": "Fine."}], "obligations": [], '
ALLOW += '"grant": null, "cost": {"risk": 1}, "labels": []}'


@pytest.mark.parametrize(
    "condition",
    [
        "input.context.nothing.here == 1",
        "input.context.arguments.amount < 100",
        "not input.context.arguments.amount >= 100; input.context.arguments.amount",
        "count(input.context.arguments.list) == 0",
        "to_number(input.context.arguments.text) < 5",
    ],
)
async def test_a38_an_undefined_allow_denies(
    world: World, recorder: Recorder, condition: str
) -> None:
    """No decision is a deny, builtin errors too; 0 bytes at the tool."""
    world.write()
    for folder in ("rules", "lib"):
        for file in (world.bundle / folder).rglob("*.rego"):
            file.unlink()
    for file in world.bundle.glob("*.rego"):
        file.unlink()
    text = f"package detent.main\n\ndecision := {ALLOW} if {{\n\t{condition}\n}}\n\nvisible := []\n"
    (world.bundle / "main.rego").write_text(text.replace("; ", "\n\t"))
    async with Gateway(world) as gateway:
        status, answer = await gateway.call("write", {"text": "x"})
        assert status == 503
        assert answer["reasons"][0]["id"] == "policy-unavailable"
    assert recorder.received == []
