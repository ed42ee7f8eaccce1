"""The shared ledger: PostgreSQL 15 or newer, for any number of gateways.

store        PostgresStore: the port, assembled
address      where the database is and how to speak to it: URL, TLS, password
connections  the pool: deadlines, primaries only, back-off while the server is away
database     statements and transactions over the pool
batches      group commit: what waits goes into one statement
schema       migrations under a lock, and which schemas this Detent can work with
watch        the connection that listens for kills, and shows that this replica lives
sessions     sessions and tokens; agents: locks, labels, dry-run toggles; view: for decisions
ledger       steps and audit records; reserve and settle are functions in the database
hooks        sessions and tool uses by the names agents with hooks give them
approvals    what operators are asked, what they said
kill_log     kills and lifts by epoch; kill_leases: who holds one
authority    kill leases again, over connections for the thread that keeps ours
outbox       alerts until they are delivered

The transactions that everything hangs on are functions of the database, see
`migrations/postgres/0002_functions.sql`: one round trip, and no lock waits for a client.
"""

from proxy.stores.postgres.address import Address
from proxy.stores.postgres.authority import ServerAuthority
from proxy.stores.postgres.store import PostgresStore

__all__ = ["Address", "PostgresStore", "ServerAuthority"]
