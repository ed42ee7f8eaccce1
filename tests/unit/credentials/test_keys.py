import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from credentials.base import BrokerMisconfigured
from credentials.keys import KeyDirectory

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def pem(key: PrivateKey, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def kids(keys: KeyDirectory) -> list[str]:
    return [key["kid"] for key in keys.jwks()["keys"]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Make a key directory with its first key."""
    KeyDirectory.open(tmp_path / "keys")
    return tmp_path / "keys"


def test_the_first_key_is_made_privately(tmp_path: Path) -> None:
    """Directory 0700, one file 0600 named by the key's thumbprint, whatever the umask."""
    before = os.umask(0)
    try:
        keys = KeyDirectory.open(tmp_path / "var" / "keys")
    finally:
        os.umask(before)
    (file,) = (tmp_path / "var" / "keys").iterdir()
    assert file.name == f"{keys.active.kid}.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_directory_opens_with_the_same_key_again(directory: Path) -> None:
    """Nothing is made when a key is there."""
    assert KeyDirectory.open(directory).active.kid == KeyDirectory.open(directory).active.kid
    assert len(list(directory.iterdir())) == 1


def test_processes_that_start_together_make_one_key(tmp_path: Path) -> None:
    """The directory is held while the first key is made."""
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(KeyDirectory.open, [tmp_path / "keys"] * 16))
    assert len({keys.active.kid for keys in opened}) == 1


def test_the_published_set_is_public(directory: Path) -> None:
    """Use and algorithm are told, the private member is not."""
    (jwk,) = KeyDirectory.open(directory).jwks()["keys"]
    assert (jwk["use"], jwk["alg"], "d" in jwk) == ("sig", "ES256", False)


def test_rotation_signs_with_a_new_key_and_publishes_both(directory: Path) -> None:
    """The old key verifies on; the choice outlives the process."""
    keys = KeyDirectory.open(directory)
    old = keys.active.kid
    new = keys.rotate()
    assert keys.active.kid == new != old
    assert kids(keys) == kids(KeyDirectory.open(directory)) == [new, old]


def test_a_retired_key_is_gone(directory: Path) -> None:
    """It is neither published nor on disk; the file names are the proof."""
    keys = KeyDirectory.open(directory)
    old = keys.active.kid
    keys.rotate()
    keys.retire(old)
    assert kids(keys) == [keys.active.kid]
    assert {file.name for file in directory.iterdir()} == {"active", f"{keys.active.kid}.pem"}


@pytest.mark.parametrize("kid", ["active", "../../etc/passwd", ""])
def test_only_an_old_key_can_be_retired(directory: Path, kid: str) -> None:
    """Neither the active key nor a path is a key to retire."""
    keys = KeyDirectory.open(directory)
    for name in (kid, keys.active.kid):
        with pytest.raises(BrokerMisconfigured, match="rotate first"):
            keys.retire(name)


def test_a_rotation_elsewhere_is_taken_up(directory: Path) -> None:
    """`reload` reads what the command line wrote."""
    keys = KeyDirectory.open(directory)
    new = KeyDirectory.open(directory).rotate()
    assert keys.active.kid != new
    keys.reload()
    assert keys.active.kid == new


def test_a_reload_that_fails_keeps_the_keys(directory: Path) -> None:
    """Tokens are signed on with the keys read before."""
    keys = KeyDirectory.open(directory)
    kid = keys.active.kid
    put(directory / "notes.txt", b"")
    with pytest.raises(BrokerMisconfigured, match=r"'notes\.txt' does not belong"):
        keys.reload()
    assert keys.active.kid == kid


def test_what_a_crash_left_is_deleted(directory: Path) -> None:
    """An unfinished write is neither a key nor a reason not to start."""
    put(directory / ".new-0123456789abcdef", b"half a key")
    KeyDirectory.open(directory)
    assert not list(directory.glob(".new-*"))


def test_a_crash_before_the_switch_keeps_the_old_key(directory: Path) -> None:
    """With a pointer there, a key that was made but never chosen only verifies."""
    keys = KeyDirectory.open(directory)
    keys.rotate()
    orphan = KeyDirectory.open(directory.with_name("other"))
    made = directory.with_name("other") / f"{orphan.active.kid}.pem"
    made.rename(directory / made.name)
    assert KeyDirectory.open(directory).active.kid == keys.active.kid


@pytest.mark.parametrize("step", ["rename", "fsync"])
def test_a_write_that_fails_leaves_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The old key goes on signing, and no part of the new one stays behind."""
    keys = KeyDirectory.open(directory)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "provider text")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(BrokerMisconfigured, match=r"cannot be written .No space left on device"):
        keys.rotate()
    assert [file.name for file in directory.iterdir()] == [f"{keys.active.kid}.pem"]


def loosened(directory: Path) -> None:
    directory.chmod(0o750)


def key_loosened(directory: Path) -> None:
    next(directory.glob("*.pem")).chmod(0o640)


def linked_key(directory: Path) -> None:
    file = next(directory.glob("*.pem"))
    file.rename(directory.with_name("elsewhere.pem"))
    file.symlink_to(directory.with_name("elsewhere.pem"))


def unknown_file(directory: Path) -> None:
    put(directory / "id_rsa", b"")


def no_pem(directory: Path) -> None:
    put(next(directory.glob("*.pem")), b"precious")


def other_curve(directory: Path) -> None:
    put(next(directory.glob("*.pem")), pem(ec.generate_private_key(ec.SECP384R1())))


def other_kind(directory: Path) -> None:
    put(next(directory.glob("*.pem")), pem(rsa.generate_private_key(65537, 2048)))


def encrypted(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    put(next(directory.glob("*.pem")), pem(key, BestAvailableEncryption(b"passphrase")))


def other_name(directory: Path) -> None:
    next(directory.glob("*.pem")).rename(directory / f"{'A' * 43}.pem")


def two_keys_no_choice(directory: Path) -> None:
    KeyDirectory.open(directory).rotate()
    (directory / "active").unlink()


def wrong_choice(directory: Path) -> None:
    put(directory / "active", b"../../dev/null\n")


def no_key(directory: Path) -> None:
    put(directory / "active", b"x\n")
    next(directory.glob("*.pem")).unlink()


@pytest.mark.parametrize(
    ("spoil", "cure"),
    [
        (loosened, "'keys' is open to other users: chmod 700"),
        (key_loosened, r"\.pem' is open to other users: chmod 600"),
        (linked_key, r"\.pem' cannot be read .Too many levels of symbolic links"),
        (unknown_file, "'id_rsa' does not belong in the key directory: move it out"),
        (no_pem, r"\.pem' is not an unencrypted PEM private key"),
        (encrypted, r"\.pem' is not an unencrypted PEM private key"),
        (other_curve, r"\.pem' is not a P-256 key"),
        (other_kind, r"\.pem' is not a P-256 key"),
        (other_name, r"AAA\.pem' does not have its thumbprint as name: rename it"),
        (two_keys_no_choice, "'active' must hold the kid"),
        (wrong_choice, "'active' must hold the kid"),
        (no_key, "'active' must hold the kid"),
    ],
)
def test_a_directory_that_is_not_in_order_is_refused(
    directory: Path, spoil: Callable[[Path], None], cure: str
) -> None:
    """Each refusal names the file and the cure, and shows no key."""
    spoil(directory)
    with pytest.raises(BrokerMisconfigured, match=cure) as refused:
        KeyDirectory.open(directory)
    assert "precious" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_directory_of_another_user_is_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner could put a key of theirs into it."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(BrokerMisconfigured, match="'keys' belongs to another user: chown"):
        KeyDirectory.open(directory)


def test_a_link_to_a_directory_is_refused(directory: Path) -> None:
    """The link could be turned to keys that somebody else knows."""
    directory.with_name("link").symlink_to(directory)
    with pytest.raises(BrokerMisconfigured, match=r"'link' cannot be used .Not a directory"):
        KeyDirectory.open(directory.with_name("link"))


def test_a_file_in_the_directory_s_place_is_refused(tmp_path: Path) -> None:
    """The text says what to name instead."""
    put(tmp_path / "keys", b"")
    with pytest.raises(BrokerMisconfigured, match="name a real directory"):
        KeyDirectory.open(tmp_path / "keys")
