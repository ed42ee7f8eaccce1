"""`python -m tests.harness.freezing serve …`: a gateway that stands still around its last check.

A call that carries MARK freezes the process between check and write. A machine that pauses does so
anywhere; this is where it is worst. SIGSTOP comes from inside, so the place is exact; SIGCONT comes
from the test. A call that carries BUSY keeps the main event loop from everything before its check,
as a flood does; other threads go on.

With PLANTED as its first argument it also has the fault that tokens outlive the kill lease.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from credentials.jwt_broker import JwtBroker
from proxy.cli import main
from proxy.model.step import Step
from proxy.pipeline.start import Starts

MARK, BUSY = "freeze", "keep busy"
PLANTED = "tokens-outlive-leases"
BUSY_S = 5.0  # more than two kill leases


def stand_still() -> None:
    """Stand still around the last check of a call whose arguments carry a mark."""
    whole = Starts.__call__

    def freezing(self: Starts, step: Step) -> None:
        if BUSY.encode() in step.call.arguments:
            time.sleep(BUSY_S)
        whole(self, step)
        if MARK.encode() in step.call.arguments:
            os.kill(os.getpid(), signal.SIGSTOP)

    Starts.__call__ = freezing  # type: ignore[method-assign]  # the failpoint


async def frozen(pid: int) -> None:
    """Return when that process is stopped (proc(5): the state stands after the name)."""
    async with asyncio.timeout(20):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            await asyncio.sleep(0.005)


if __name__ == "__main__":
    stand_still()
    if sys.argv[1] == PLANTED:
        del sys.argv[1]
        JwtBroker.is_fenced = False
    sys.argv[0] = "detent"
    main()
