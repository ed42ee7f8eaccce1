"""The programs the chart is tested with; a test that needs one that is missing says so."""

import pytest

from proxy.pdp.find_opa import find_opa
from tests.harness.fixtures import recorder, world
from tests.helm.tools import program

__all__ = ["recorder", "world"]


def _found(name: str) -> str:
    found = program(name)
    if found is None:
        pytest.skip(f"{name} is not installed: `make helm` gets it, with Go")
    return found


@pytest.fixture(scope="session")
def helm() -> str:
    """Helm."""
    return _found("helm")


@pytest.fixture(scope="session")
def kubeconform() -> str:
    """What checks manifests against schemas."""
    return _found("kubeconform")


@pytest.fixture(scope="session")
def opa() -> str:
    """The policy engine."""
    return str(find_opa().path)
