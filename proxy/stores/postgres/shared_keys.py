"""Random keys that all replicas have, made by whichever asks first."""

import secrets

from proxy.stores.postgres.database import Tables

_MAKE = "INSERT INTO shared_keys (name, key) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
_KEY = "SELECT key FROM shared_keys WHERE name = $1"


class KeyTables(Tables):
    """The port's SharedKeys."""

    async def shared_key(self, name: str) -> bytes:
        """See the port. Read in a statement of its own: another may have made it meanwhile."""
        rows = await self._database.fetch(_KEY, name)
        if not rows:
            await self._database.write(_MAKE, name, secrets.token_bytes(32))
            rows = await self._database.fetch(_KEY, name)
        return bytes(rows[0][0])
