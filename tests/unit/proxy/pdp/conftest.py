"""A small bundle of our own and the real OPA."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.pdp.find_opa import find_opa

POLICIES = Path(__file__).parents[4] / "policies"


@pytest.fixture(scope="session")
def opa() -> Path:
    """The real OPA."""
    return find_opa().path


@pytest.fixture
def policies() -> Path:
    """The policies that Detent ships."""
    return POLICIES


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the shipped policies to spoil."""
    copy = tmp_path / "source"
    shutil.copytree(POLICIES, copy)
    return copy


@pytest.fixture
def written(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Write a directory from relative paths and texts."""

    def write(files: dict[str, str]) -> Path:
        directory = tmp_path / "written"
        for name, text in files.items():
            file = directory / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return directory

    return write
