"""Keys in a Secret that the kubelet mounts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from credentials.base import BrokerMisconfigured
from credentials.jwks import thumbprint
from credentials.keys import KeyDirectory
from tests.harness.kubelet import FIRST, SECRET_MODE, mount

LATER = "..2026_11_22_11_00_00.987654321"


def new_key() -> tuple[str, bytes]:
    """Return the thumbprint and the PEM, in the form `genPrivateKey` of Helm writes it."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return thumbprint(key.public_key()), pem


def kids(keys: KeyDirectory) -> list[str]:
    return [key["kid"] for key in keys.jwks()["keys"]]


def test_a_mounted_key_signs_under_its_thumbprint(tmp_path: Path) -> None:
    """Who writes a Secret need not compute it: any name will do."""
    kid, pem = new_key()
    keys = KeyDirectory.open(mount(tmp_path / "keys", {"signing.pem": pem}))
    assert keys.active.kid == kid
    assert kids(keys) == [kid]


def test_active_names_one_of_several_files(tmp_path: Path) -> None:
    """The others are published."""
    (old, one), (new, other) = new_key(), new_key()
    files = {"a.pem": one, "b.pem": other, "active": b"b\n"}
    assert kids(KeyDirectory.open(mount(tmp_path / "keys", files))) == [new, old]


def test_an_update_of_the_secret_is_taken_up(tmp_path: Path) -> None:
    """The kubelet turns the link, `reload` reads the other update whole."""
    (_, one), (new, other) = new_key(), new_key()
    place = mount(tmp_path / "keys", {"signing.pem": one})
    keys = KeyDirectory.open(place)
    mount(place, {"signing.pem": other}, generation=LATER)
    keys.reload()
    assert kids(keys) == [new]


@pytest.mark.parametrize("change", [KeyDirectory.rotate, lambda keys: keys.retire("x")])
def test_mounted_keys_are_changed_in_their_secret(
    tmp_path: Path, change: Callable[[KeyDirectory], object]
) -> None:
    """Nothing is written to the mount."""
    keys = KeyDirectory.open(mount(tmp_path / "keys", {"signing.pem": new_key()[1]}))
    with pytest.raises(BrokerMisconfigured, match="rotate and retire them in their Secret"):
        change(keys)


def no_key(place: Path) -> None:
    (place / FIRST / "signing.pem").unlink()


def open_to_all(place: Path) -> None:
    (place / FIRST / "signing.pem").chmod(0o444)


def linked_out(place: Path) -> None:
    file = place / FIRST / "signing.pem"
    file.rename(place.parent / "elsewhere.pem")
    file.symlink_to(place.parent / "elsewhere.pem")


def unknown_file(place: Path) -> None:
    (place / FIRST / "notes.txt").write_bytes(b"")


def unwanted_name(place: Path) -> None:
    (place / FIRST / "signing.pem").rename(place / FIRST / "a.b.pem")


@pytest.mark.parametrize(
    ("spoil", "cure"),
    [
        (no_key, "'active' must hold the kid"),
        (open_to_all, "'signing.pem' is open to other users: mount with defaultMode 0440"),
        (linked_out, "'signing.pem' cannot be read .Too many levels of symbolic links"),
        (unknown_file, "'notes.txt' does not belong in the key directory"),
        (unwanted_name, "'a.b.pem' does not belong in the key directory"),
    ],
)
def test_a_mount_that_is_not_in_order_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], cure: str
) -> None:
    """No key is ever made there, and none read from elsewhere."""
    place = mount(tmp_path / "keys", {"signing.pem": new_key()[1]}, SECRET_MODE)
    spoil(place)
    with pytest.raises(BrokerMisconfigured, match=cure):
        KeyDirectory.open(place)
