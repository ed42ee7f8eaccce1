"""Who holds a kill lease. Renewals are written: a standby or an old primary grants nothing."""

import math

from proxy.model.lease import Grant, Renewal
from proxy.stores.postgres.database import Tables
from proxy.stores.rows import entry_of

_RENEW = """
SELECT authority_at, (entry).epoch, (entry).order_id, (entry).action, (entry).scopes,
       (entry).actor, (entry).reason, (entry).at, (entry).lifts
FROM renew($1, $2, $3)
"""
_ACKNOWLEDGE = """
UPDATE kill_holders SET acked = greatest(acked, $2), seen_at = clock_timestamp() WHERE holder = $1
"""
_LEAVE = """
DELETE FROM kill_holders WHERE holder = $1 OR seen_at < clock_timestamp() - interval '1 day'
"""
_HOLDERS = """
SELECT holder, acked FROM kill_holders WHERE seen_at > clock_timestamp() - interval '60 seconds'
"""


class LeaseTables(Tables):
    """The port's KillLeases."""

    async def renew(self, renewal: Renewal) -> Grant:
        """See the port. The clock is the server's."""
        asked = (renewal.holder, renewal.acked, renewal.known)
        (first, *rows) = await self._database.write_kill(_RENEW, *asked)
        entries = tuple(entry_of(tuple(row)[1:]) for row in rows)
        return Grant(renewal.nonce, math.inf, entries, first[0])

    async def acknowledge(self, holder: str, epoch: int) -> None:
        """See the port."""
        await self._database.write_kill(_ACKNOWLEDGE, holder, epoch)

    async def leave(self, holder: str) -> None:
        """See the port. Holders of yesterday are forgotten as well."""
        await self._database.write_kill(_LEAVE, holder)

    async def pushed(self, known: int) -> None:
        """See the port. Told by NOTIFY, and after every reconnect."""
        await self._database.watch.beyond(known)

    async def holders(self) -> dict[str, int]:
        """See the port."""
        return dict(map(tuple, await self._database.fetch_kill(_HOLDERS)))
