"""A clock that moves only when it is told to, and leases by it."""

from proxy.killswitch.lease import KillLease
from proxy.model.lease import Grant, LeaseTerms


class Clock:
    """Seconds since boot, as the test says."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def fresh_lease(clock: Clock | None = None) -> KillLease:
    """Return a lease that was just granted, for two seconds of that clock or of one that stands."""
    ticking = clock or Clock()
    lease = KillLease(LeaseTerms(), ticking)
    lease.granted(Grant(lease.ask(0, 0).nonce, 2.0, (), ticking()))
    return lease
