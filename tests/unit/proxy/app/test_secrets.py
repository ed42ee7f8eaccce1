from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.app.secrets import Secrets, Tls
from proxy.config import Settings
from proxy.config.blocks import SecretSource
from proxy.errors import ConfigError

SettingsOf = Callable[..., Settings]
FILE = SecretSource(file=Path("key"))
ENV = SecretSource(env="KEY")


def secret_file(place: Path, mode: int = 0o600, content: str = "from-a-file") -> None:
    (place / "key").touch(mode)
    (place / "key").write_text(content)


def test_secrets_come_from_the_environment_and_from_files(
    settings_of: SettingsOf, tmp_path: Path
) -> None:
    """Relative files start at the settings' own directory."""
    secret_file(tmp_path)
    secrets = Secrets(settings_of(), {"KEY": "from-the-environment"})
    assert secrets.read(ENV, "x") == "from-the-environment"
    assert secrets.read(FILE, "x") == "from-a-file"


def test_a_secret_is_learnt_before_it_is_given_and_again_when_it_changes(
    settings_of: SettingsOf, tmp_path: Path
) -> None:
    """A rotated secret is masked like the first one; an unchanged one is told once."""
    learnt: list[tuple[str, str]] = []
    secret_file(tmp_path)
    source = Secrets(settings_of(), {}, lambda *told: learnt.append(told)).open(FILE, "x")
    assert learnt == [("x", "from-a-file")]
    assert source.read() == "from-a-file"
    (tmp_path / "key").write_text("a-rotated-one")
    assert source.read() == "a-rotated-one"
    assert learnt == [("x", "from-a-file"), ("x", "a-rotated-one")]


BAD_SECRETS: list[tuple[SecretSource, int, str, str]] = [
    (SecretSource(env="GONE"), 0o600, "long enough", "the environment has no 'GONE': set it"),
    (FILE, 0o644, "long-enough", "'key' is open to other users: chmod 600"),
    (FILE, 0o600, "tiny", "shorter than 8 characters"),
    (FILE, 0o600, "changeme", "placeholder"),
    (SecretSource(file=Path("none")), 0o600, "long-enough", "'none' cannot be read"),
]


@pytest.mark.parametrize(("named", "mode", "secret", "problem"), BAD_SECRETS)
def test_a_bad_secret_is_refused_at_its_place_and_never_repeated(
    settings_of: SettingsOf,
    tmp_path: Path,
    named: SecretSource,
    mode: int,
    secret: str,
    problem: str,
) -> None:
    """The place in the settings, what is wrong, and the cure."""
    secret_file(tmp_path, mode, secret)
    with pytest.raises(ConfigError, match=problem) as error:
        Secrets(settings_of(), {}).read(named, "credentials.x")
    assert str(error.value).startswith("credentials.x: ")
    assert secret not in str(error.value)


def tls_of(settings_of: SettingsOf, pem: Path, **files: Any) -> Tls | None:
    listen = {name: str(pem / file) for name, file in files.items()}
    return Secrets(settings_of(listen=listen), {}).tls()


def test_tls_files_that_fit_are_given(settings_of: SettingsOf, pem: Path) -> None:
    """And none when the settings name none."""
    tls = tls_of(settings_of, pem, tls_cert="cert.pem", tls_key="key.pem")
    assert tls == Tls(pem / "cert.pem", pem / "key.pem")
    assert tls_of(settings_of, pem) is None


def test_tls_files_are_relative_to_the_settings(pem: Path) -> None:
    """Detent can be started from anywhere."""
    listen = {"tls_cert": "cert.pem", "tls_key": "key.pem"}
    settings = Settings.model_validate({"directory": pem, "listen": listen})
    assert Secrets(settings, {}).tls() == Tls(pem / "cert.pem", pem / "key.pem")


@pytest.mark.parametrize(
    ("cert", "key", "problem"),
    [
        ("cert.pem", "open.pem", r"listen\.tls_key: 'open.pem' is open to other users: chmod 600"),
        ("cert.pem", "none.pem", r"listen\.tls_key: 'none.pem' cannot be read"),
        ("none.pem", "key.pem", r"listen\.tls_cert: none.pem \(No such file.*give a PEM chain"),
        ("broken.pem", "key.pem", r"listen\.tls_cert: broken.pem .*its own key, unencrypted"),
        ("cert.pem", "other.pem", r"listen\.tls_cert: cert.pem .*its own key, unencrypted"),
        ("cert.pem", "locked.pem", r"listen\.tls_cert: cert.pem .*its own key, unencrypted"),
    ],
)
def test_tls_files_that_do_not_fit_are_refused(
    settings_of: SettingsOf, pem: Path, cert: str, key: str, problem: str
) -> None:
    """An open key, a missing file, a key of another certificate, a key with a password."""
    with pytest.raises(ConfigError, match=problem):
        tls_of(settings_of, pem, tls_cert=cert, tls_key=key)
