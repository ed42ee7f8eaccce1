"""Numbered migrations under an advisory lock, and which schemas this Detent can work with.

A migration says how old a Detent may be to work with what it leaves (`-- compatible: N` in its
first line). So replicas roll: upgrade the database first, then the replicas one by one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import asyncpg

from proxy.errors import SchemaNewer, StoreUnavailable
from proxy.stores.postgres.address import Address
from proxy.stores.postgres.connections import BROKEN, SETTINGS, Connection, connect, goodbye
from proxy.stores.schema_state import SchemaState

MIGRATION_LOCK = 8743
UPGRADE_SETTINGS = SETTINGS | {"statement_timeout": "0", "lock_timeout": "10000"}

_BOOK = """
CREATE SCHEMA IF NOT EXISTS detent;
CREATE TABLE IF NOT EXISTS detent.migrations (
    version    integer PRIMARY KEY,
    compatible integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""
_HAS_BOOK = "SELECT to_regclass('detent.migrations') IS NOT NULL"
_NEWEST = "SELECT version, compatible FROM detent.migrations ORDER BY version DESC LIMIT 1"
_APPLIED = "INSERT INTO detent.migrations (version, compatible) VALUES ($1, $2)"
_COMPATIBLE = re.compile(r"^-- compatible: ([0-9]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from `version - 1` to `version`. A Detent of schema `compatible` can use it."""

    version: int
    compatible: int
    sql: str


def shipped() -> tuple[Migration, ...]:
    """Return the migrations of this Detent, `0001_name.sql` first."""
    folder = resources.files("proxy.stores").joinpath("migrations", "postgres")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return tuple(
        migration(int(file.name.partition("_")[0]), file.read_text("utf-8")) for file in files
    )


def migration(version: int, sql: str) -> Migration:
    """Return a migration. Raises ValueError when its text does not say what works with it."""
    said = _COMPATIBLE.match(sql)
    if said is None:
        raise ValueError(f"Migration {version} does not begin with `-- compatible: N`.")
    return Migration(version, int(said[1]), sql)


async def state_of(connection: Connection, migrations: Sequence[Migration]) -> SchemaState:
    """Return what is there. Raises asyncpg.PostgresError."""
    newest = migrations[-1].version
    ((has_book,),) = await connection.fetch(_HAS_BOOK)
    rows = await connection.fetch(_NEWEST) if has_book else []
    found, compatible = rows[0] if rows else (0, 0)
    return SchemaState(found, compatible, newest)


async def verify(connection: Connection, migrations: Sequence[Migration]) -> None:
    """Refuse a schema this Detent cannot work with. Raises SchemaNewer, StoreUnavailable."""
    state = await state_of(connection, migrations)
    if state.found < state.newest:
        raise StoreUnavailable(
            f"The ledger has schema {state.found}, this Detent needs {state.newest}; "
            "run `detent db upgrade`."
        )
    _refuse_newer(state)


async def upgrade(address: Address, migrations: Sequence[Migration] | None = None) -> SchemaState:
    """Bring a ledger to the newest version; return what it is then.

    Each migration is one transaction: a crash or an error inside leaves the version before it.
    Who runs it at the same time waits and finds nothing left. Raises SchemaNewer,
    StoreUnavailable.
    """
    steps = shipped() if migrations is None else migrations
    connection = await connect(address, UPGRADE_SETTINGS)
    try:
        await connection.fetch("SELECT pg_advisory_lock($1, 0)", MIGRATION_LOCK)
        before = await state_of(connection, steps)
        _refuse_newer(before)
        await connection.execute(_BOOK)
        for step in steps:
            if step.version > before.found:
                await _apply(connection, step)
        return await state_of(connection, steps)
    except (*BROKEN, asyncpg.PostgresError) as error:
        raise StoreUnavailable(f"The ledger was not upgraded: {_said(error)}.") from None
    finally:
        await goodbye(connection)


async def inspect(address: Address, migrations: Sequence[Migration] | None = None) -> SchemaState:
    """Return what is there, changing nothing. Raises StoreUnavailable."""
    connection = await connect(address)
    try:
        return await state_of(connection, shipped() if migrations is None else migrations)
    except (*BROKEN, asyncpg.PostgresError) as error:
        raise StoreUnavailable(f"The ledger cannot be read: {_said(error)}.") from None
    finally:
        await goodbye(connection)


async def _apply(connection: Connection, step: Migration) -> None:
    await connection.execute("BEGIN")
    try:
        await connection.execute(step.sql)
        await connection.fetch(_APPLIED, step.version, step.compatible)
        await connection.execute("COMMIT")
    except asyncpg.PostgresError as error:
        await connection.execute("ROLLBACK")
        raise StoreUnavailable(
            f"Migration {step.version} failed and changed nothing: {_said(error)}."
        ) from None


def _refuse_newer(state: SchemaState) -> None:
    if state.compatible > state.newest:
        raise SchemaNewer(
            f"The ledger has schema {state.found}, this Detent knows {state.newest}; "
            "install the Detent that upgraded it or a newer one."
        )


def _said(error: Exception) -> str:
    """Return what is wrong; no row has been read, so the text of the server holds no value."""
    return str(error) if isinstance(error, asyncpg.PostgresError) else type(error).__name__
