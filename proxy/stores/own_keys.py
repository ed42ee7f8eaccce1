"""Keys of a ledger that one process has to itself: nobody else opens what it seals."""

import secrets


class OwnKeys:
    """The port's SharedKeys, for as long as this process lives."""

    def __init__(self) -> None:
        self._keys: dict[str, bytes] = {}

    def get(self, name: str) -> bytes:
        """Return the key of that name, made when it is first asked for."""
        return self._keys.setdefault(name, secrets.token_bytes(32))
