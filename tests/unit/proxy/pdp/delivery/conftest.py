"""A key, and a small bundle to deliver."""

from pathlib import Path

import pytest

from proxy.pdp.find_opa import find_opa
from tests.harness.signing import BundleKey
from tests.harness.tiny_bundle import write


@pytest.fixture(scope="session")
def opa() -> Path:
    """The real OPA."""
    return find_opa().path


@pytest.fixture(scope="session")
def key() -> BundleKey:
    """Whose signature counts."""
    return BundleKey.make()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A directory of policies."""
    return write(tmp_path / "bundle")


@pytest.fixture
def signed(bundle: Path, key: BundleKey) -> bytes:
    """The archive of that directory, signed; number 7."""
    return key.deliver(bundle, 7)
