"""The decision log of a gateway: off unless asked for; it lives as long as the gateway."""

from pathlib import Path

from proxy.app.assemble import assemble
from proxy.app.decision_log import decision_log_of
from proxy.config import load_settings
from proxy.observability.masking import Masker
from proxy.observability.metrics import Metrics
from proxy.pdp.managed_opa import ManagedOpa
from tests.harness.world import World


async def test_without_the_setting_there_is_no_log(world: World) -> None:
    """Nobody is watched by accident."""
    settings = load_settings(world.write(), {})
    engine = ManagedOpa(Path("opa"))
    assert decision_log_of(settings, engine, Metrics("test"), Masker()) is None


async def test_a_gateway_writes_what_waits_before_it_ends(world: World) -> None:
    """A relative directory is beside the settings."""
    world.settings = {"policy": {"bundle": "policies", "log": "var/decisions"}}
    built = assemble(load_settings(world.write(), {}), {}, Masker())
    try:
        await built.gateway.start()
        decided = await built.gateway.parts.policy.decide(b'{"input":{}}')
        decisions = built.gateway.parts.decisions
        assert decisions is not None
        decisions.note(b'{"input":{"subject":{"tenant":"acme"}}}', b"", decided)
    finally:
        await built.gateway.stop()
        built.cleanup()
    (file,) = (world.directory / "var" / "decisions").iterdir()
    assert decided.id in file.read_text()
