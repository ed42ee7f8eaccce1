"""Clients' streams do not outlive the kill lease.

Cut off, this process hears of no kill that covers them. Nothing starts any more by then, but a
stream would stay open for as long as the fault lasts. Calls in flight go on to their end: to break
them off stops nothing at the tool, and what came of them would not be known.
"""

import asyncio

from proxy.killswitch.inflight import InFlight
from proxy.killswitch.lease import KillLease


class Lapse:
    """Closes every stream when the lease has been over for the time of one renewal."""

    def __init__(self, lease: KillLease, flights: InFlight) -> None:
        self._lease = lease
        self._flights = flights
        self._until = lease.now()

    async def watch(self) -> None:
        """Look at the lease as long as this process lives."""
        while True:
            self.look()
            await asyncio.sleep(self._lease.terms.renew_every_s / 2)

    def look(self) -> None:
        """Close the streams if it is time; those that were opened since the last look too."""
        until = self._lease.fresh_until()
        if until is not None:
            # Not the end of a lease that is over: a relay without one goes on granting nothing.
            self._until = until
        elif self._lease.now() > self._until + self._lease.terms.renew_every_s:
            self._flights.close_streams()
