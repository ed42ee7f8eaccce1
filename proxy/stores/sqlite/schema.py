"""Numbered migrations, each in one transaction, with a backup of the file before an upgrade."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from proxy.errors import SchemaNewer, StoreUnavailable
from proxy.stores.schema_state import SchemaState
from proxy.stores.sqlite.files import create_private, sync_directory

APPLICATION_ID = 0x44544E54  # "DTNT" in the file's header, set by the first migration


@dataclass(frozen=True, slots=True)
class Migration:
    """One step from `version - 1` to `version`."""

    version: int
    sql: str


def shipped() -> tuple[Migration, ...]:
    """Return the migrations of this Detent, `0001_name.sql` first."""
    folder = resources.files("proxy.stores").joinpath("migrations", "sqlite")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return tuple(
        Migration(int(file.name.partition("_")[0]), file.read_text("utf-8")) for file in files
    )


def version_of(connection: sqlite3.Connection) -> int:
    """Return the schema version of a ledger, 0 for an empty file.

    Raises StoreUnavailable for a database that is not a ledger.
    """
    version = int(connection.execute("PRAGMA user_version").fetchall()[0][0])
    application = int(connection.execute("PRAGMA application_id").fetchall()[0][0])
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0]
    empty = (version, application, tables) == (0, 0, 0)
    if not empty and (version == 0 or application != APPLICATION_ID):
        raise StoreUnavailable("The file is a database of another program; name another file.")
    return version


def state_of(path: Path) -> SchemaState:
    """Return the state of a ledger's file, changing nothing; a running gateway may have it.

    Raises StoreUnavailable.
    """
    newest = shipped()[-1].version
    if not path.exists():
        return SchemaState(0, 0, newest)
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            found = version_of(connection)
    except sqlite3.Error as error:
        raise StoreUnavailable(f"The ledger {path} cannot be read: {error}.") from error
    return SchemaState(found, found, newest)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Bring a ledger to the newest version; an upgrade leaves `<path>.bak-<old version>`.

    A crash or an error inside a migration leaves the version before it. Raises SchemaNewer,
    StoreUnavailable.
    """
    found = version_of(connection)
    newest = migrations[-1].version
    if found > newest:
        raise SchemaNewer(
            f"The ledger {path} has schema {found}, this Detent knows {newest}; "
            "install the Detent that wrote it or a newer one."
        )
    if 0 < found < newest:
        _back_up(connection, path, found)
    for migration in migrations:
        if migration.version > found:
            _apply(connection, migration)


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    version = f"PRAGMA user_version = {migration.version};"
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{migration.sql}\n{version}\nCOMMIT;")
    except sqlite3.Error as error:
        connection.rollback()
        raise StoreUnavailable(
            f"Migration {migration.version} failed and changed nothing: {error}"
        ) from error


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Copy the ledger beside itself; a copy that was cut short never carries the final name."""
    partial = path.with_name(f"{path.name}.bak-{version}.partial")
    partial.unlink(missing_ok=True)
    create_private(partial)
    with closing(sqlite3.connect(partial)) as copy:
        copy.execute("PRAGMA synchronous = FULL")
        connection.backup(copy)
    partial.replace(path.with_name(f"{path.name}.bak-{version}"))
    sync_directory(path.parent)
