"""Which ledger the settings name: the store, where it is, and its schema."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from credentials.base import BrokerMisconfigured
from credentials.secret_source import SecretSource
from proxy.app.attached import gateway_of, gateways_of
from proxy.app.secrets import Secrets
from proxy.config import Settings
from proxy.errors import ConfigError, SchemaNewer, StoreUnavailable
from proxy.killswitch.lease_thread import Connect
from proxy.stores.base import Store
from proxy.stores.postgres import Address, PostgresStore, ServerAuthority
from proxy.stores.postgres import schema as postgres_schema
from proxy.stores.postgres.address import SCHEMES, no_password
from proxy.stores.remote import GatewayAuthority, RemoteStore
from proxy.stores.remote.gateway import Gateway
from proxy.stores.schema_state import SchemaState
from proxy.stores.sqlite import SqliteStore
from proxy.stores.sqlite import schema as sqlite_schema


def store_of(settings: Settings, secrets: Secrets) -> Store:
    """Return the ledger, not yet open. Raises ConfigError."""
    return STORES[_scheme(settings)](settings, secrets)


def authority_of(settings: Settings, secrets: Secrets) -> Connect | None:
    """Return how the kill log is asked from another event loop; None for one that is ours alone.

    Raises ConfigError.
    """
    make = AUTHORITIES.get(_scheme(settings))
    return make(settings, secrets) if make else None


def address_of(settings: Settings, secrets: Secrets) -> Address | None:
    """Return where a PostgreSQL ledger is; None for another kind. Raises ConfigError."""
    return _address(settings, secrets) if _scheme(settings) in SCHEMES else None


async def schema_of(settings: Settings, secrets: Secrets) -> SchemaState:
    """Return the state of the schema, changing nothing. Raises ConfigError, StoreUnavailable."""
    address = address_of(settings, secrets)
    if address is None:
        return await asyncio.to_thread(sqlite_schema.state_of, settings.database)
    return await postgres_schema.inspect(address)


async def usable(settings: Settings, secrets: Secrets) -> str:
    """Return what the ledger is when it can be used. Raises ConfigError, StoreError: the cure."""
    if settings.attach.url:
        return settings.attach.url
    address = address_of(settings, secrets)
    if address is None:
        return writable(settings.database)
    state = await postgres_schema.inspect(address)
    if state.is_usable:
        return f"{address}, schema {state.found}"
    if state.found < state.newest:
        cure = "run `detent db upgrade`"
        raise StoreUnavailable(f"schema {state.found}, this Detent needs {state.newest}; {cure}")
    raise SchemaNewer(
        f"schema {state.found}, this Detent knows {state.newest}; install a newer one"
    )


def writable(database: Path) -> str:
    """Look at the place of a SQLite file without opening it: a running gateway may have it.

    Raises StoreUnavailable.
    """
    place = next(path for path in (database, *database.parents) if path.exists())
    if place == database:
        fits = place.is_file() and os.access(place, os.R_OK | os.W_OK)
    else:
        fits = place.is_dir() and os.access(place, os.W_OK | os.X_OK)
    if not fits:
        raise StoreUnavailable(f"{place} cannot be written; name a file on a local disk that can")
    return str(database)


async def upgrade_schema(settings: Settings, secrets: Secrets) -> SchemaState:
    """Bring the schema up to date. Raises ConfigError, StoreError."""
    address = address_of(settings, secrets)
    if address is not None:
        return await postgres_schema.upgrade(address)
    store = store_of(settings, secrets)
    await store.open()  # which upgrades, with a backup, when nobody has it
    await store.close()
    return await schema_of(settings, secrets)


def _scheme(settings: Settings) -> str:
    return "attached" if settings.attach.url else settings.store.partition(":")[0]


def _address(settings: Settings, secrets: Secrets) -> Address:
    named, password = settings.store_password, no_password
    if named is not None:
        password = partial(_read, secrets.open(named, "store_password"))
    try:
        address = Address.parse(settings.store, password, settings.directory)
        address.tls_context()
    except ValueError as error:
        raise ConfigError((f"store: {error}",)) from None
    except OSError as error:  # ssl.SSLError is one
        why = getattr(error, "reason", None) or error.strerror
        cure = "give PEM files that can be read"
        raise ConfigError((f"store: sslrootcert, sslcert or sslkey ({why}); {cure}",)) from None
    return address


def _read(source: SecretSource) -> str:
    """Return the password as it is now: it is asked for at every new connection."""
    try:
        return source.read()
    except BrokerMisconfigured as error:
        raise StoreUnavailable(f"store_password: {error}") from None


def _sqlite(settings: Settings, _: Secrets) -> Store:
    return SqliteStore(settings.database)


def _postgres(settings: Settings, secrets: Secrets) -> Store:
    settings.halt_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return PostgresStore(_address(settings, secrets))


def _attached(settings: Settings, secrets: Secrets) -> Store:
    settings.halt_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return RemoteStore(gateway_of(settings, secrets), settings.halt_file.with_suffix(".outcomes"))


def _server_authority(settings: Settings, secrets: Secrets) -> Connect:
    return partial(ServerAuthority, _address(settings, secrets))


def _gateway_authority(settings: Settings, secrets: Secrets) -> Connect:
    return partial(_asking, gateways_of(settings, secrets))


@asynccontextmanager
async def _asking(make: Callable[[], Gateway]) -> AsyncIterator[GatewayAuthority]:
    gateway = make()
    try:
        yield GatewayAuthority(gateway)
    finally:
        await gateway.close()


STORES: dict[str, Callable[[Settings, Secrets], Store]] = {
    "attached": _attached,
    "postgres": _postgres,
    "postgresql": _postgres,
    "sqlite": _sqlite,
}

AUTHORITIES: dict[str, Callable[[Settings, Secrets], Connect]] = {
    "attached": _gateway_authority,
    "postgres": _server_authority,
    "postgresql": _server_authority,
}
