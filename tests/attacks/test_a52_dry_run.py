"""A52: a dry-run call to a tool whose GET has an effect, or that ignores dry runs."""

import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World


@pytest.mark.parametrize("tool", ["write", "get_with_effect", "read"])
async def test_a52_a_dry_run_call_sends_nothing(
    gateway: Gateway, recorder: Recorder, tool: str
) -> None:
    """The gateway answers itself; 0 bytes at the tool for every effect."""
    status, answer = await gateway.call(tool, dry_run=True)
    assert (status, answer["outcome"]) == (200, "dry_run")
    assert answer["preview"]["tool"] == tool
    assert recorder.received == []
    assert recorder.connections == 0


async def test_a52_a_dry_run_session_previews_writes_and_reads_for_real(
    gateway: Gateway, recorder: Recorder
) -> None:
    """The effect is the manifest's word, not the method's."""
    _, session = await gateway.ask("POST", "/v1/sessions", {"mode": "dry_run"})
    for tool in ("write", "get_with_effect"):
        _, answer = await gateway.call(tool, token=session["token"])
        assert answer["outcome"] == "dry_run"
    assert recorder.received == []
    _, answer = await gateway.call("read", token=session["token"])
    assert answer["outcome"] == "done"


async def test_a52_a_preview_mints_nothing(world: World, recorder: Recorder) -> None:
    """The credential is described, not made; the ledger has no row of one."""
    world.tools["rec"]["write"]["credential"] = {
        "broker": "jwt",
        "audience": "https://rec",
        "ceiling": ["rec:write"],
    }
    world.settings = {"credentials": {"jwt": {"jwt": {"issuer": "detent", "keys": "var/keys"}}}}
    async with Gateway(world) as gateway:
        _, preview = await gateway.call("write", dry_run=True)
        assert preview["preview"]["credential"]["minted"] is False
        assert recorder.received == []
        _, answer = await gateway.call("write", {"text": "x"})
        assert answer["outcome"] == "done"
    assert recorder.received[0].headers["Authorization"].startswith("Bearer eyJ")
