"""`python -m tests.harness.stepped_clock FILE serve …`: the gateway under a wall clock that jumps.

FILE holds the seconds that the wall clock is off by, now. The clocks that only go forward
(CLOCK_MONOTONIC, CLOCK_BOOTTIME) are the machine's own, as they are when an administrator, NTP or
a virtual machine's host steps the time.
"""

import sys
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

_PLACE = Path(sys.argv.pop(1)) if __name__ == "__main__" else Path("/dev/null")
_real = time.time


def off_by_s() -> float:
    """Return how far the wall clock is off, 0 while nothing is said."""
    try:
        return float(_PLACE.read_text() or 0)
    except OSError:
        return 0.0


class Stepped(datetime):
    """`datetime`, whose now is off."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Stepped":
        """Return the wall clock's time."""
        return datetime.now(tz) + timedelta(seconds=off_by_s())  # type: ignore[return-value]  # is one


if __name__ == "__main__":
    setattr(time, "time", lambda: _real() + off_by_s())  # noqa: B010  (mypy knows its type)
    # After that: defaults of parameters are taken at the import.
    from proxy.cli import main, serve

    assert serve  # with it everything a gateway is made of is loaded
    for _module in list(sys.modules.values()):
        is_ours = _module.__name__.partition(".")[0] in {"credentials", "proxy"}
        if is_ours and getattr(_module, "datetime", None) is datetime:
            setattr(_module, "datetime", Stepped)  # noqa: B010  (mypy knows its type)
    sys.argv[0] = "detent"
    main()
