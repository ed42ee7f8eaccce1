"""`python -m tests.harness.crashing POINT serve …`: the gateway, killed -9 at a named point.

The points lie between admission and answer of a call. The process that dies is the real one; only
the boundary where it dies is added from here.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from proxy.cli import main
from proxy.pipeline import dispatch, reserve, settle

CALLS: dict[str, tuple[Any, str, bool]] = {
    "before-reserve": (reserve.Reserving, "__call__", True),
    "after-reserve": (reserve.Reserving, "__call__", False),
    "before-send": (dispatch.Dispatch, "__call__", True),
    "after-send": (dispatch.Dispatch, "__call__", False),
    "after-settle": (settle.Settling, "close", False),
}
POINTS = tuple(CALLS)
MARK = "crash"


def die_at(point: str) -> None:
    """Kill this process at that point of the first call whose arguments carry the mark."""
    owner, name, before = CALLS[point]
    whole: Callable[..., Any] = getattr(owner, name)

    async def dying(self: Any, step: Any, *more: Any) -> Any:
        marked = MARK.encode() in step.call.arguments
        if marked and before:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await whole(self, step, *more)
        if marked:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, dying)


if __name__ == "__main__":
    die_at(sys.argv.pop(1))
    sys.argv[0] = "detent"
    main()
