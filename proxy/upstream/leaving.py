"""A call on its way out: whether it left, and what it means that its time is up."""

from collections.abc import Awaitable, Callable

from proxy.errors import OutcomeUnknown, UpstreamFailed
from proxy.upstream.base import UpstreamResult
from proxy.upstream.clock import Clock


class Leaving:
    """Passes `sending` on, and remembers that the call left."""

    def __init__(self, sending: Callable[[], None]) -> None:
        self._sending = sending
        self.left = False

    def __call__(self) -> None:
        """Let the call go, unless what stands against it raises."""
        self._sending()
        self.left = True


async def in_time(
    timeout_s: float, leaving: Leaving, work: Callable[[Clock], Awaitable[UpstreamResult]]
) -> UpstreamResult:
    """Return what a call comes to. When its time is up it is OutcomeUnknown once a byte of it left,
    and UpstreamFailed before.
    """
    try:
        async with Clock(timeout_s) as clock:
            return await work(clock)
    except TimeoutError as late:
        if leaving.left:
            raise OutcomeUnknown("it did not answer in time") from late
        raise UpstreamFailed("it could not be called in time") from late
