"""The signing keys: a private directory with one ES256 key a file, one of them active.

    <kid>.pem   PKCS #8, unencrypted, P-256; `kid` is the RFC 7638 thumbprint
    active      the `kid` that signs; may be missing while there is a single key

The other keys stay published, so that what they signed can be verified until they are retired.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from credentials.base import BrokerMisconfigured
from credentials.jwks import public_jwk, thumbprint
from credentials.private_file import check_private, read_private

_ACTIVE = "active"
_KEY_FILE = re.compile(r"([A-Za-z0-9_-]{43})\.pem")
# What a crash in the middle of a write leaves behind.
_UNFINISHED = re.compile(r"\.new-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One private key and its thumbprint; the key never shows in a repr."""

    kid: str
    private: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Keys:
    active: SigningKey
    others: tuple[SigningKey, ...]


class KeyDirectory:
    """The keys of one directory as last read; safe to share between threads."""

    def __init__(self, path: Path, keys: _Keys) -> None:
        self._path = path
        self._keys = keys

    @classmethod
    def open(cls, path: str | Path) -> "KeyDirectory":
        """Read the directory; make it and its first key when there is none yet.

        Refuses, with BrokerMisconfigured naming the file and the cure: a directory or file that
        other users own or reach, symbolic links, unknown files, any key that is not P-256.
        """
        path = Path(path)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as failure:
            raise _no_directory(path, failure) from None
        with _locked(path) as directory:
            if not _tidied(directory):
                _create_key(directory)
            return cls(path, _load(directory))

    @property
    def active(self) -> SigningKey:
        """The key that signs."""
        return self._keys.active

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Publish the public halves as a JWK set (RFC 7517 section 5), the active key first."""
        published = (self._keys.active, *self._keys.others)
        return {"keys": [public_jwk(key.private.public_key()) for key in published]}

    def reload(self) -> None:
        """Take up what another process changed (a rotation on the command line).

        Raises BrokerMisconfigured; the keys read before then stay in use.
        """
        with _locked(self._path) as directory:
            self._keys = _load(directory)

    def rotate(self) -> str:
        """Make a new key and sign with it from now on; returns its `kid`."""
        with _locked(self._path) as directory:
            _load(directory)
            kid = _create_key(directory)
            _write(directory, _ACTIVE, f"{kid}\n".encode())
            self._keys = _load(directory)
        return kid

    def retire(self, kid: str) -> None:
        """Delete a key that no longer signs; its tokens stop verifying at once.

        Raises BrokerMisconfigured when it is the active key or not there.
        """
        with _locked(self._path) as directory:
            if kid not in {key.kid for key in _load(directory).others}:
                raise BrokerMisconfigured(
                    "only a key that is there and no longer active can be retired: rotate first"
                )
            os.unlink(f"{kid}.pem", dir_fd=directory)
            os.fsync(directory)
            self._keys = _load(directory)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open the directory, check it, and hold it against other processes of ours."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as failure:
        raise _no_directory(path, failure) from None
    try:
        check_private(os.fstat(directory), path.name, "700")
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield directory
    finally:
        os.close(directory)


def _no_directory(path: Path, failure: OSError) -> BrokerMisconfigured:
    why = os.strerror(failure.errno or 0)
    return BrokerMisconfigured(
        f"the key directory {path.name!r} cannot be used ({why}): "
        "name a real directory of Detent's user with mode 0700"
    )


def _tidied(directory: int) -> list[str]:
    """List the files, after deleting what a crash left unfinished."""
    names = sorted(os.listdir(directory))
    for name in names:
        if _UNFINISHED.fullmatch(name):
            os.unlink(name, dir_fd=directory)
    return [name for name in names if not _UNFINISHED.fullmatch(name)]


def _load(directory: int) -> _Keys:
    names = _tidied(directory)
    for name in names:
        if name != _ACTIVE and not _KEY_FILE.fullmatch(name):
            raise BrokerMisconfigured(f"{name!r} does not belong in the key directory: move it out")
    keys = {
        key.kid: key for key in (_read_key(directory, name) for name in names if name != _ACTIVE)
    }
    active = _active_kid(directory, names, keys)
    return _Keys(keys[active], tuple(key for kid, key in keys.items() if kid != active))


def _active_kid(directory: int, names: list[str], keys: dict[str, SigningKey]) -> str:
    if _ACTIVE in names:
        kid = read_private(_ACTIVE, dir_fd=directory).content.decode("ascii", "replace").strip()
    elif len(keys) == 1:
        kid = next(iter(keys))
    else:
        kid = ""
    if kid not in keys:
        raise BrokerMisconfigured(
            f"{_ACTIVE!r} must hold the kid of the key that signs: "
            "write the name of one key file into it, without .pem"
        )
    return kid


def _read_key(directory: int, name: str) -> SigningKey:
    content = read_private(name, dir_fd=directory).content
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BrokerMisconfigured(
            f"{name!r} is not an unencrypted PEM private key: restore it or move it out"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BrokerMisconfigured(f"{name!r} is not a P-256 key: move it out and rotate")
    kid = thumbprint(key.public_key())
    if name != f"{kid}.pem":
        raise BrokerMisconfigured(f"{name!r} does not have its thumbprint as name: rename it")
    return SigningKey(kid, key)


def _create_key(directory: int) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    kid = thumbprint(key.public_key())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(directory, f"{kid}.pem", pem)
    return kid


def _write(directory: int, name: str, content: bytes) -> None:
    """Put a whole file with mode 0600 in place, or none: written aside, synced, renamed."""
    aside = f".new-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(aside, flags, 0o600, dir_fd=directory), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
    except OSError as failure:
        _tidied(directory)
        why = os.strerror(failure.errno or 0)
        raise BrokerMisconfigured(f"{name!r} cannot be written ({why}): make room for it") from None
