import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from proxy.pdp.delivery.building import build
from proxy.pdp.find_opa import find_opa
from tests.harness.signing import BundleKey
from tests.harness.tiny_bundle import write

Run = Callable[..., Result]


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key."""
    key = BundleKey.make("EdDSA")
    private, public = tmp_path / "policy.pem", tmp_path / "policy.pub.pem"
    private.write_bytes(key.private)
    private.chmod(0o600)
    public.write_bytes(key.public)
    return private, public


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A bundle that was built."""
    built = tmp_path / "bundle.tar.gz"
    built.write_bytes(build(write(tmp_path / "bundle"), find_opa().path, 7))
    return built


def test_what_is_signed_is_verified(detent: Run, keys: tuple[Path, Path], archive: Path) -> None:
    """With what it holds."""
    private, public = keys
    signing = detent("policy", "sign", archive, "--key", private, "--keyid", "k1")
    assert (signing.exit_code, signing.output) == (0, f"signed: {archive} by k1\n")
    result = detent("policy", "verify", archive, "--key", public, "--keyid", "k1", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["number"] == 7
    plain = detent("policy", "verify", archive, "--key", public, "--keyid", "k1")
    assert "number:    7\n" in plain.output


@pytest.mark.parametrize("options", [("--keyid", "k2"), ("--keyid", "k1", "--scope", "production")])
def test_another_name_or_scope_is_refused(
    detent: Run, keys: tuple[Path, Path], archive: Path, options: tuple[str, ...]
) -> None:
    """With exit code 1 and the reason."""
    private, public = keys
    detent("policy", "sign", archive, "--key", private, "--keyid", "k1")
    result = detent("policy", "verify", archive, "--key", public, *options)
    assert result.exit_code == 1
    assert result.stderr.startswith("refused: ")


def test_what_is_not_signed_is_refused(detent: Run, keys: tuple[Path, Path], archive: Path) -> None:
    """The cure is a command."""
    result = detent("policy", "verify", archive, "--key", keys[1], "--keyid", "k1")
    assert (result.exit_code, "detent policy sign" in result.stderr) == (1, True)


def test_a_private_key_is_private(detent: Run, keys: tuple[Path, Path], archive: Path) -> None:
    """One that others may read signs nothing."""
    keys[0].chmod(0o644)
    before = archive.read_bytes()
    result = detent("policy", "sign", archive, "--key", keys[0], "--keyid", "k1")
    assert (result.exit_code, "chmod 600" in result.output) == (2, True)
    assert archive.read_bytes() == before


def test_a_key_has_a_name(detent: Run, keys: tuple[Path, Path], archive: Path) -> None:
    """It is asked for, and never made up."""
    for what, key in zip(("sign", "verify"), keys, strict=True):
        result = detent("policy", what, archive, "--key", key)
        assert (result.exit_code, "--keyid" in result.output) == (2, True)
