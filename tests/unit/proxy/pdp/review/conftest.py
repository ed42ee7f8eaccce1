"""Answers and sides to compare."""

from pathlib import Path

import pytest

from proxy.pdp.bundle import stage
from proxy.pdp.manifests import load_catalogue
from proxy.pdp.review.sides import Side


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory, opa: Path) -> Side:
    """The policies that Detent ships, staged once."""
    source = Path(__file__).parents[5] / "policies"
    bundle = stage(source, tmp_path_factory.mktemp("staged"), opa)
    return Side("shipped", bundle, load_catalogue(bundle.directory))
