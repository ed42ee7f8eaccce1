"""What `detent check` warns of at a shared ledger: nothing that keeps a gateway from starting."""

from proxy.app.ledgers import address_of
from proxy.app.secrets import Secrets
from proxy.config import Settings
from proxy.errors import StoreUnavailable
from proxy.stores.postgres import Address
from proxy.stores.postgres.standing import Standing, connections_of, standing_of

_TLS = {
    "disable": "speaks plain text to another host; set sslmode=verify-full",
    "require": "encrypts, and trusts whoever answers; set sslmode=verify-full and sslrootcert",
}


async def ledger_warnings(settings: Settings, secrets: Secrets) -> list[str]:
    """Return a sentence for each, with its cure. Raises ConfigError."""
    if settings.attach.url or (address := address_of(settings, secrets)) is None:
        return []
    try:
        standing = await standing_of(address)
    except StoreUnavailable as error:
        return [*_way(address), str(error)]
    return [*_way(address), *_promise(address, standing), *_room(settings, address, standing)]


def _way(address: Address) -> list[str]:
    return [] if address.is_local or address.tls not in _TLS else [_TLS[address.tls]]


def _promise(address: Address, standing: Standing) -> list[str]:
    """Look at what may be lost of what was acknowledged, kills among it."""
    found = []
    if not standing.synchronous and (standing.standbys or len(address.hosts) > 1):
        found.append(
            "its standbys are asynchronous, so a failover may lose acknowledged kills; set "
            "synchronous_standby_names on the server"
        )
    if not standing.is_durable:
        found.append(
            "fsync or full_page_writes is off, so a crash of the server may lose acknowledged "
            "kills; set both to on"
        )
    return found


def _room(settings: Settings, address: Address, standing: Standing) -> list[str]:
    wanted = settings.workers * connections_of(address)
    if wanted <= standing.max_connections:
        return []
    cure = "raise its max_connections, or lower `connections` in the URL, or `workers`"
    return [f"takes {standing.max_connections} connections, we may want {wanted}; {cure}"]
