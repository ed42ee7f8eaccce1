import pytest

from proxy.model.decision import Decision, Reason, Verdict
from proxy.model.finding import Alert, Severity
from proxy.monitors import undecided as module
from proxy.monitors.undecided import KIND, Undecided

DOWN = Decision("dec_1", Verdict.DENY, (Reason(KIND, "No."),), "sha256:1")
DENIED = Decision("dec_2", Verdict.DENY, (Reason("role-not-allowed", "No."),), "sha256:1")


async def alerts_of(*decisions: Decision) -> list[Alert]:
    """Return what is told after these."""
    told: list[Alert] = []

    async def tell(alert: Alert) -> None:
        told.append(alert)

    watch = Undecided(tell)
    for decision in decisions:
        watch.note(b"{}", b"", decision)
    await watch.told()
    return told


async def test_the_first_call_without_a_decision_is_told() -> None:
    """To people, at once."""
    [alert] = await alerts_of(DENIED, DOWN, DOWN)
    assert (alert.kind, alert.severity) == (KIND, Severity.CRITICAL)


async def test_a_deny_is_a_decision() -> None:
    """Nobody is told."""
    assert await alerts_of(DENIED, DENIED) == []


async def test_a_policy_that_comes_and_goes_is_told_once_a_while() -> None:
    """Not with every call."""
    assert len(await alerts_of(DOWN, DENIED, DOWN, DENIED, DOWN)) == 1


async def test_a_policy_that_goes_again_later_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And while it stays away once is enough, however long."""
    monkeypatch.setattr(module, "AGAIN_S", 0)
    assert len(await alerts_of(DOWN, DOWN, DENIED, DOWN)) == 2
