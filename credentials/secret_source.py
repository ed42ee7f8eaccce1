"""Where a static key comes from, and which values are never taken for a secret."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from credentials.base import BrokerMisconfigured
from credentials.private_file import read_private, stamp_of

MIN_CHARS = 8
_PLACEHOLDERS = frozenset(
    {"changeit", "changeme", "default", "example", "password", "password1", "placeholder"}
    | {"secret", "test", "testtest", "12345678", "123456789", "1234567890"}
)


class SecretSource(Protocol):
    """Gives the secret as it stands now."""

    def read(self) -> str:
        """Give the secret. Raises BrokerMisconfigured, which never repeats it."""
        ...


class EnvSecret:
    """A secret of an environment mapping, taken out once when Detent starts.

    Raises BrokerMisconfigured when it is missing or must not be used.
    """

    def __init__(self, variable: str, environment: Mapping[str, str]) -> None:
        if variable not in environment:
            raise BrokerMisconfigured(f"the environment has no {variable!r}: set it")
        self._secret = _checked(environment[variable], variable)

    def read(self) -> str:
        """Give the secret as it was at the start."""
        return self._secret


class FileSecret:
    """A secret in a file with mode 0600, at most 8 KiB; one newline at its end is dropped.

    The file is read again whenever it changes, so a rotation needs no restart.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._stamp: tuple[int, ...] = ()
        self._secret = ""

    def read(self) -> str:
        """Give the secret in the file now. Raises BrokerMisconfigured."""
        try:
            unchanged = stamp_of(self._path.stat()) == self._stamp
        except OSError:
            unchanged = False  # reading it tells why
        if not unchanged:
            # Links are followed: mounted secrets are exchanged by turning one.
            file = read_private(self._path, links=True)
            text = file.content.decode("latin-1").removesuffix("\n")
            self._secret = _checked(text, self._path.name)
            self._stamp = file.stamp
        return self._secret


def _checked(secret: str, name: str) -> str:
    if len(secret) < MIN_CHARS:
        raise BrokerMisconfigured(f"the secret in {name!r} is shorter than {MIN_CHARS} characters")
    if not (secret.isascii() and secret.isprintable()) or secret != secret.strip():
        raise BrokerMisconfigured(
            f"the secret in {name!r} must be one line of printable ASCII without space around it"
        )
    if secret.casefold() in _PLACEHOLDERS or len(set(secret)) == 1:
        raise BrokerMisconfigured(
            f"the secret in {name!r} is a placeholder: put the real one there"
        )
    return secret
