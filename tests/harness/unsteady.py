"""`python -m tests.harness.unsteady serve …`: the gateway on a machine that is not steady.

A call whose arguments say `freeze` freezes the whole process (SIGSTOP to itself) between the last
look at the kill lease and the write; somebody else has to let it go on (SIGCONT). One that says
`linger 1.5` waits so many seconds after it was reserved and before that look, as if a broker were
slow. After SIGUSR2 the clock of leases runs at 0.8 of its rate; it does not jump. Nothing else
differs from `detent serve`.
"""

import asyncio
import os
import re
import signal
import sys
import time
from typing import Any

from proxy.cli import main
from proxy.pipeline.dispatch import Dispatch
from proxy.pipeline.start import Starts

FREEZE = re.compile(rb'"freeze ')
LINGER = re.compile(rb'"linger ([0-9.]+) ')
SLOW = 0.8


class Clocks:
    """The system's clocks; CLOCK_BOOTTIME may be slowed."""

    def __init__(self) -> None:
        self._read = time.clock_gettime
        self._rate = 1.0
        self._since = self._shown = 0.0

    def __call__(self, clock: int) -> float:
        """Return what that clock shows, in seconds."""
        if clock != time.CLOCK_BOOTTIME:
            return self._read(clock)
        return self._shown + (self._read(clock) - self._since) * self._rate

    def slow(self, *_: object) -> None:
        """Go on from what it shows now, at the lower rate."""
        self._shown = self(time.CLOCK_BOOTTIME)
        self._since = self._read(time.CLOCK_BOOTTIME)
        self._rate = SLOW


def freeze_marked_calls() -> None:
    """Stop this process after a marked call has passed the last look, before its first byte."""
    look = Starts.__call__

    def frozen(self: Starts, step: Any, *more: Any) -> None:
        look(self, step, *more)
        if FREEZE.search(step.call.arguments):
            os.kill(os.getpid(), signal.SIGSTOP)

    Starts.__call__ = frozen  # type: ignore[method-assign] # the boundary that is added


def delay_marked_calls() -> None:
    """Wait between the reservation of a marked call and its dispatch."""
    whole = Dispatch.__call__

    async def delayed(self: Dispatch, step: Any, *more: Any) -> Any:
        if found := LINGER.search(step.call.arguments):
            await asyncio.sleep(float(found[1]))
        return await whole(self, step, *more)

    Dispatch.__call__ = delayed  # type: ignore[assignment,method-assign] # as above


if __name__ == "__main__":
    clocks = Clocks()
    time.clock_gettime = clocks
    signal.signal(signal.SIGUSR2, clocks.slow)
    freeze_marked_calls()
    delay_marked_calls()
    sys.argv[0] = "detent"
    main()
