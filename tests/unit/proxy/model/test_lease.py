from datetime import UTC, datetime

import pytest

from proxy.model.lease import Effectiveness, HolderState, LeaseTerms


def test_the_bound_is_the_lease_the_drift_and_the_pause() -> None:
    """2 s, 1 % and 50 ms: 2.07 s after the commit at the latest, under the promised 3 s."""
    assert LeaseTerms().bound_s == pytest.approx(2.0705)
    assert LeaseTerms().renew_every_s == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("states", "effective"),
    [
        ({}, True),
        ({"a": HolderState.ACKED, "b": HolderState.EXPIRED}, True),
        ({"a": HolderState.ACKED, "b": HolderState.OUTSTANDING}, False),
    ],
    ids=["nobody", "all", "one is missing"],
)
def test_a_kill_is_effective_when_nobody_is_outstanding(
    states: dict[str, HolderState], effective: bool
) -> None:
    """An expired lease is as good as an acknowledgement."""
    found = Effectiveness(states, datetime.now(UTC))
    assert found.effective is effective
    assert found.count(HolderState.ACKED) == ("a" in states)
