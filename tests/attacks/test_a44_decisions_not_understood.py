"""A44: a decision that is too large, has members nobody knows, or asks for what nobody can do."""

import copy
import json
from typing import Any

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World

GOOD: dict[str, Any] = {
    "verdict": "allow",
    "reasons": [{"id": "ok", "message": "Fine."}],
    "obligations": [],
    "grant": None,
    "cost": {"risk": 1},
    "labels": [],
}
GRANT = {"broker": "none", "audience": "", "scope": [], "ttl": 30}

UNCLEAR: dict[str, dict[str, Any]] = {
    "unknown member": {"also": 1},
    "unknown verdict": {"verdict": "maybe"},
    "verdict of another case": {"verdict": "ALLOW"},
    "verdict true": {"verdict": True},
    "no reasons": {"reasons": []},
    "reason of another shape": {"reasons": ["ok"]},
    "reason with more": {"reasons": [{"id": "ok", "message": "Fine.", "url": "x"}]},
    "reason with a long message": {"reasons": [{"id": "ok", "message": "x" * 501}]},
    "many reasons": {"reasons": [{"id": f"ok-{n}", "message": "x"} for n in range(65)]},
    "obligation of another shape": {"obligations": ["mask"]},
    "obligations as an object": {"obligations": {"type": "mask"}},
    "negative cost": {"cost": {"risk": -1}},
    "fractional cost": {"cost": {"risk": 0.5}},
    "cost of another kind": {"cost": {"risk": 1, "money": 1}},
    "wildcard scope": {"grant": GRANT | {"scope": ["*"]}},
    "endless grant": {"grant": GRANT | {"ttl": 10**9}},
    "label of another shape": {"labels": ["a b"]},
    "too large": {"labels": [], "reasons": [{"id": "ok", "message": "x" * 70_000}]},
}
NOT_MET: dict[str, dict[str, Any]] = {
    "unknown obligation": {"obligations": [{"type": "ask_the_moon"}]},
    "known and unknown": {"obligations": [{"type": "dry_run"}, {"type": "Dry_run"}]},
}


def planted(world: World) -> None:
    """Write a policy that decides as the argument `text` says."""
    for folder in ("rules", "lib"):
        for file in (world.bundle / folder).rglob("*.rego"):
            file.unlink()
    for file in world.bundle.glob("*.rego"):
        file.unlink()
    cases = {name: GOOD | change for name, change in (UNCLEAR | NOT_MET).items()} | {"good": GOOD}
    for name in MISSING:
        cases[name] = copy.deepcopy(GOOD)
        del cases[name][name.partition(" ")[2]]
    text = f"package detent.main\n\ncases := {json.dumps(cases)}\n\n"
    text += "decision := cases[input.context.arguments.text]\n\nvisible := []\n"
    (world.bundle / "main.rego").write_text(text)


MISSING = [f"without {member}" for member in GOOD]


async def test_a44_what_is_not_understood_whole_denies(world: World, recorder: Recorder) -> None:
    """503 for what is no decision, 403 for what cannot be done; 0 bytes at the tool."""
    world.write()
    planted(world)
    async with Gateway(world) as gateway:
        for name in [*UNCLEAR, *MISSING]:
            status, answer = await gateway.call("write", {"text": name})
            assert (status, answer["reasons"][0]["id"]) == (503, "policy-unavailable"), name
        for name in NOT_MET:
            status, answer = await gateway.call("write", {"text": name})
            assert (status, answer["reasons"][0]["id"]) == (403, "obligation-unknown"), name
        assert recorder.received == []
        assert (await gateway.call("write", {"text": "good"}))[0] == 200
