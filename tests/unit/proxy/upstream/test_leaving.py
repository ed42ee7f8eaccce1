"""Whether a call left, and what its time being up means."""

import asyncio

import pytest

from proxy.errors import OutcomeUnknown, Refused, UpstreamFailed
from proxy.upstream.base import UpstreamResult
from proxy.upstream.clock import Clock
from proxy.upstream.leaving import Leaving, in_time


def refuse() -> None:
    raise Refused.because("killed")


def test_a_call_that_was_refused_did_not_leave() -> None:
    """What sending raises passes."""
    leaving = Leaving(refuse)
    with pytest.raises(Refused):
        leaving()
    assert not leaving.left


async def test_a_call_in_time_is_its_result() -> None:
    """Whatever that is."""

    async def work(_: Clock) -> UpstreamResult:
        return UpstreamResult(b"{}")

    assert await in_time(1, Leaving(lambda: None), work) == UpstreamResult(b"{}")


@pytest.mark.parametrize(("left", "problem"), [(True, OutcomeUnknown), (False, UpstreamFailed)])
async def test_a_late_call_may_have_had_an_effect_if_it_left(
    left: bool, problem: type[Exception]
) -> None:
    """A byte of it decides."""
    leaving = Leaving(lambda: None)

    async def work(_: Clock) -> UpstreamResult:
        if left:
            leaving()
        await asyncio.sleep(5)
        raise AssertionError("too late")

    with pytest.raises(problem, match="in time"):
        await in_time(0.05, leaving, work)
