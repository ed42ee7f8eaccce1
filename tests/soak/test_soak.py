"""A short soak: two replicas, every kind of load, and whatever the seed brings in 20 seconds."""

from pathlib import Path

import pytest

from tests.harness.postgres import MISSING, find
from tests.soak.memory import JUDGED_AFTER_S, growth
from tests.soak.run import Asked, soak


@pytest.mark.alone
@pytest.mark.timeout(240)
@pytest.mark.skipif(find("initdb") is None, reason=MISSING)
async def test_a_short_soak_breaks_no_invariant(tmp_path: Path) -> None:
    """Kills, a crash, a pause: the history of all of it is right, and there is one."""
    found, violations = await soak(Asked(minutes=1 / 3, rate=40, replicas=2, seed=11), tmp_path)
    assert "\n\n".join(map(str, violations)) == ""
    assert found["steps"]["done"] > 200
    assert found["kills"]["acknowledged"] >= 1
    assert sum(found["faults"].values()) >= 2


@pytest.mark.parametrize(
    ("mib_per_s", "lived_s", "is_flat"),
    [(0.0, JUDGED_AFTER_S, True), (0.01, JUDGED_AFTER_S, False), (0.01, 100.0, None)],
)
def test_memory_that_grows_is_told(mib_per_s: float, lived_s: float, is_flat: bool | None) -> None:
    """From the slope after the warm-up; a short life says nothing."""
    samples = [(at, 100 + mib_per_s * at) for at in range(0, int(lived_s) + 1, 2)]
    held = growth("r0", samples)
    assert held.mib_per_hour == pytest.approx(3600 * mib_per_s, abs=1e-6)
    assert held.is_flat is is_flat


def test_a_warm_up_is_no_growth() -> None:
    """What a process takes in the first quarter of its life does not count."""
    samples = [(at, min(100.0, float(at))) for at in range(0, 1_000, 2)]
    assert growth("r0", samples).is_flat
