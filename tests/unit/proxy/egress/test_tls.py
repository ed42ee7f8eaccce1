"""The TLS context."""

import ssl
from pathlib import Path

import pytest

from proxy.egress.tls import tls_context


def test_certificate_and_name_are_verified() -> None:
    """Verification is on and old protocol versions are off."""
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_the_environment_gives_no_trust(
    monkeypatch: pytest.MonkeyPatch, authority: Path, tmp_path: Path
) -> None:
    """SSL_CERT_FILE does not add a certificate authority."""
    usual = tls_context().cert_store_stats()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert tls_context().cert_store_stats() == usual


def test_a_ca_file_is_the_only_trust(authority: Path) -> None:
    """A configured authority replaces the system's."""
    assert tls_context(str(authority)).cert_store_stats()["x509_ca"] == 1


def test_without_any_authority_nothing_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without certificates gives a context that trusts nobody."""
    nowhere = ssl.DefaultVerifyPaths(None, None, "", "/nowhere/ca.pem", "", "/nowhere/certs")  # type: ignore[arg-type]
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: nowhere)
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.get_ca_certs() == []
