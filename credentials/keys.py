"""The signing keys: a private directory with one ES256 key a file, one of them active.

    <kid>.pem   PKCS #8, unencrypted, P-256; `kid` is the RFC 7638 thumbprint
    active      the `kid` that signs; may be missing while there is a single key

The other keys stay published, so that what they signed can be verified until they are retired.

A Secret that the kubelet mounts is read as it is (credentials.mounted): its files may have any name
that ends in `.pem`, `active` holds one of these without the ending, and whoever manages the Secret
rotates them.
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
from credentials.mounted import mounted
from credentials.private_file import PrivateFile, check_private, read_mounted, read_private

_ACTIVE = "active"
_KEY_FILE = re.compile(r"([A-Za-z0-9_-]{43})\.pem")
_MOUNTED_KEY_FILE = re.compile(r"([A-Za-z0-9_-]{1,64})\.pem")
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


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the key files are: an open directory, ours to write to unless it is a mount."""

    directory: int
    is_mount: bool

    def read(self, name: str) -> PrivateFile:
        if self.is_mount:
            return read_mounted(name, self.directory)
        return read_private(name, dir_fd=self.directory)

    def names(self) -> list[str]:
        return _listed(self.directory) if self.is_mount else _tidied(self.directory)


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
        with _locked(path) as place:
            if not place.is_mount and not place.names():
                _create_key(place.directory)
            return cls(path, _load(place))

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
        with _locked(self._path) as place:
            self._keys = _load(place)

    def rotate(self) -> str:
        """Make a new key and sign with it from now on; returns its `kid`."""
        with _locked(self._path) as place:
            directory = _writable(place)
            _load(place)
            kid = _create_key(directory)
            _write(directory, _ACTIVE, f"{kid}\n".encode())
            self._keys = _load(place)
        return kid

    def retire(self, kid: str) -> None:
        """Delete a key that no longer signs; its tokens stop verifying at once.

        Raises BrokerMisconfigured when it is the active key or not there.
        """
        with _locked(self._path) as place:
            directory = _writable(place)
            if kid not in {key.kid for key in _load(place).others}:
                raise BrokerMisconfigured(
                    "only a key that is there and no longer active can be retired: rotate first"
                )
            os.unlink(f"{kid}.pem", dir_fd=directory)
            os.fsync(directory)
            self._keys = _load(place)


@contextmanager
def _locked(path: Path) -> Iterator[_Place]:
    """Open the directory, check it, and hold it against other processes of ours."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as failure:
        raise _no_directory(path, failure) from None
    try:
        with mounted(directory, path.name) as files:
            if files is not None:
                yield _Place(files, is_mount=True)
                return
            check_private(os.fstat(directory), path.name, "700")
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield _Place(directory, is_mount=False)
    finally:
        os.close(directory)


def _writable(place: _Place) -> int:
    if place.is_mount:
        raise BrokerMisconfigured("the keys are mounted: rotate and retire them in their Secret")
    return place.directory


def _no_directory(path: Path, failure: OSError) -> BrokerMisconfigured:
    why = os.strerror(failure.errno or 0)
    return BrokerMisconfigured(
        f"the key directory {path.name!r} cannot be used ({why}): "
        "name a real directory of Detent's user with mode 0700"
    )


def _listed(directory: int) -> list[str]:
    return sorted(os.listdir(directory))


def _tidied(directory: int) -> list[str]:
    """List the files, after deleting what a crash left unfinished."""
    names = _listed(directory)
    for name in names:
        if _UNFINISHED.fullmatch(name):
            os.unlink(name, dir_fd=directory)
    return [name for name in names if not _UNFINISHED.fullmatch(name)]


def _load(place: _Place) -> _Keys:
    names = place.names()
    known = _MOUNTED_KEY_FILE if place.is_mount else _KEY_FILE
    keys: dict[str, SigningKey] = {}
    for name in names:
        if name == _ACTIVE:
            continue
        found = known.fullmatch(name)
        if found is None:
            raise BrokerMisconfigured(f"{name!r} does not belong in the key directory: move it out")
        keys[found[1]] = _read_key(place, name)
    active = keys[_active(place, names, keys)]
    return _Keys(active, tuple(key for key in keys.values() if key.kid != active.kid))


def _active(place: _Place, names: list[str], keys: dict[str, SigningKey]) -> str:
    """Return the name of the key file that signs, without its ending."""
    if _ACTIVE in names:
        chosen = place.read(_ACTIVE).content.decode("ascii", "replace").strip()
    elif len(keys) == 1:
        chosen = next(iter(keys))
    else:
        chosen = ""
    if chosen not in keys:
        raise BrokerMisconfigured(
            f"{_ACTIVE!r} must hold the kid of the key that signs: "
            "write the name of one key file into it, without .pem"
        )
    return chosen


def _read_key(place: _Place, name: str) -> SigningKey:
    content = place.read(name).content
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BrokerMisconfigured(
            f"{name!r} is not an unencrypted PEM private key: restore it or move it out"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BrokerMisconfigured(f"{name!r} is not a P-256 key: move it out and rotate")
    kid = thumbprint(key.public_key())
    if not place.is_mount and name != f"{kid}.pem":
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
