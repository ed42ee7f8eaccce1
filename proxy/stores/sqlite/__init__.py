"""The embedded ledger: SQLite, for exactly one process.

store       SqliteStore: the port, assembled
database    the file: connections, who reads and who writes
writer      the one thread that writes; group commit, kills first
lock        one process at a time
schema      migrations, with a backup before each upgrade
sessions    sessions and tokens; agents: locks, labels, dry-run toggles; view: for decisions
ledger      steps and audit records; intents: reserve and settle; budgets: points of risk
hooks       sessions and tool uses by the names agents with hooks give them
approvals   what operators are asked, what they said, and its one use
kill_log    kills and lifts by epoch; kill_leases: who holds one
outbox      alerts until they are delivered
"""

from proxy.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
