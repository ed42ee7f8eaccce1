"""A bundle to start from."""

from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle import digest
from proxy.pdp.bundle_files import read_bundle
from proxy.pdp.starting import PAGE, start_bundle


def test_it_is_the_shipped_bundle_with_a_page_of_its_own(tmp_path: Path, policies: Path) -> None:
    """Rules, data, tests, suites; the page is for the team that has it."""
    count = start_bundle(tmp_path / "mine")
    assert digest(read_bundle(tmp_path / "mine")) == digest(read_bundle(policies))
    assert (tmp_path / "mine/suites/budget.yaml").is_file()
    assert (tmp_path / "mine/rules/budget/budget_test.rego").is_file()
    assert (tmp_path / "mine/README.md").read_text() == PAGE.read_text()
    assert count == sum(1 for path in policies.rglob("*") if path.is_file())


def test_its_files_are_files(tmp_path: Path) -> None:
    """A link back would change with the next version."""
    start_bundle(tmp_path)
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A directory with anything in it is left alone."""
    (tmp_path / "main.rego").write_text("mine")
    with pytest.raises(PolicyInvalid, match=r"not empty\. Cure: "):
        start_bundle(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["main.rego"]


def test_where_nothing_can_be_written_there_is_no_bundle(tmp_path: Path) -> None:
    """Below a file, say."""
    (tmp_path / "file").write_text("")
    with pytest.raises(PolicyInvalid, match=r"Not a directory\. Cure: "):
        start_bundle(tmp_path / "file/mine")
