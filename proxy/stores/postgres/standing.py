"""What a server promises of a commit that it has acknowledged, as far as it tells us."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from proxy.errors import StoreUnavailable
from proxy.stores.postgres.address import Address
from proxy.stores.postgres.connections import BROKEN, connect, goodbye
from proxy.stores.postgres.database import KILL_CONNECTIONS

# Pools of their own: calls, kills, and one connection that listens for kills.
LISTENING = 1

# Who may not look at replication sees rows without what is in them. A base backup is no standby.
_STANDING = """
SELECT current_setting('synchronous_standby_names'),
       (SELECT count(*) FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'),
       current_setting('fsync')::boolean AND current_setting('full_page_writes')::boolean,
       current_setting('max_connections')::int
       - current_setting('superuser_reserved_connections')::int
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A server: whom its commits wait for, its standbys, whether it survives a crash, its room."""

    synchronous: str
    standbys: int
    is_durable: bool
    max_connections: int


async def standing_of(address: Address) -> Standing:
    """Ask a server. Raises StoreUnavailable."""
    connection = await connect(address)
    try:
        ((*found,),) = await connection.fetch(_STANDING)
    except (*BROKEN, asyncpg.PostgresError):
        raise StoreUnavailable("The ledger does not tell how it is replicated.") from None
    finally:
        await goodbye(connection)
    return _standing(found)


def _standing(row: Sequence[Any]) -> Standing:
    synchronous, standbys, is_durable, max_connections = row
    return Standing(synchronous, standbys, is_durable, max_connections)


def connections_of(address: Address) -> int:
    """Return how many connections one process may have at once: two threads hear of kills."""
    return address.connections + 2 * (KILL_CONNECTIONS + LISTENING)
