"""Secrets named in the settings: from private files or the environment, never from the YAML."""

import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from credentials.base import BrokerMisconfigured
from credentials.private_file import read_private
from credentials.secret_source import EnvSecret, FileSecret, SecretSource
from proxy.config import Settings
from proxy.config.blocks import SecretSource as SecretSetting
from proxy.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Tls:
    """The PEM files of our own TLS."""

    cert: Path
    key: Path


class Secrets:
    """Opens secrets. `learn` is told each secret's place and value before anybody else gets it.

    That is how logs mask it and results are searched for it. A file that changes later is told
    again, by whichever thread reads it first.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        learn: Callable[[str, str], None] = lambda _place, _value: None,
    ) -> None:
        self._settings = settings
        self._environ = dict(environ)
        self._learn = learn
        self._telling = threading.Lock()

    def open(self, named: SecretSetting, what: str) -> SecretSource:
        """Return the source of a secret that is there. Raises ConfigError."""
        try:
            source = _Told(self._source(named), partial(self._tell, what))
            source.read()
        except BrokerMisconfigured as error:
            raise ConfigError((f"{what}: {error}",)) from None
        return source

    def read(self, named: SecretSetting, what: str) -> str:
        """Return a secret's value. Raises ConfigError."""
        return self.open(named, what).read()

    def tls(self) -> Tls | None:
        """Return the TLS files when there are any and they can be used. Raises ConfigError."""
        listen = self._settings.listen
        if listen.tls_cert is None or listen.tls_key is None:
            return None
        tls = Tls(self._settings.path(listen.tls_cert), self._settings.path(listen.tls_key))
        try:
            read_private(tls.key, links=True)
            # Without a password OpenSSL would ask for one at the terminal.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, lambda: "")
        except BrokerMisconfigured as error:
            raise ConfigError((f"listen.tls_key: {error}",)) from None
        except OSError as error:  # ssl.SSLError is one
            why = getattr(error, "reason", None) or error.strerror
            cure = "give a PEM chain and its own key, unencrypted"
            raise ConfigError((f"listen.tls_cert: {tls.cert.name} ({why}); {cure}",)) from None
        return tls

    def _tell(self, what: str, secret: str) -> None:
        with self._telling:
            self._learn(what, secret)

    def _source(self, named: SecretSetting) -> SecretSource:
        if named.file is not None:
            return FileSecret(self._settings.path(Path(named.file)))
        return EnvSecret(named.env or "", self._environ)


class _Told:
    """A source whose every new value is told before it is given."""

    def __init__(self, source: SecretSource, learn: Callable[[str], None]) -> None:
        self._source = source
        self._learn = learn
        self._known = ""

    def read(self) -> str:
        secret = self._source.read()
        if secret != self._known:
            self._learn(secret)
            self._known = secret
        return secret
