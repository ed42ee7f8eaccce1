"""Secrets named in the settings: from private files or the environment, never from the YAML."""

from collections.abc import Mapping
from pathlib import Path

from credentials.base import BrokerMisconfigured
from credentials.secret_source import EnvSecret, FileSecret, SecretSource
from proxy.config import Settings
from proxy.config.settings import SecretSource as SecretSetting
from proxy.errors import ConfigError


class Secrets:
    """Opens secrets and remembers their values, so that logs can mask them."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = dict(environ)
        self.values: list[str] = []

    def open(self, named: SecretSetting, what: str) -> SecretSource:
        """Return the source of a secret that is there. Raises ConfigError."""
        try:
            source: SecretSource
            if named.file is not None:
                source = FileSecret(self._settings.path(Path(named.file)))
            else:
                source = EnvSecret(named.env or "", self._environ)
            self.values.append(source.read())
        except BrokerMisconfigured as error:
            raise ConfigError((f"{what}: {error}",)) from None
        return source

    def read(self, named: SecretSetting, what: str) -> str:
        """Return a secret's value. Raises ConfigError."""
        return self.open(named, what).read()
