"""Bundles staged for a review are gone after it."""

from pathlib import Path

from proxy.app.review import reviewer, suite_inputs
from proxy.pdp.find_opa import find_opa
from tests.harness.tiny_bundle import write


def test_what_is_staged_is_gone_afterwards(tmp_path: Path) -> None:
    """Two bundles stand beside each other meanwhile."""
    source = write(tmp_path / "bundle")
    with reviewer(find_opa().path) as reviewing:
        sides = [reviewing.side(source), reviewing.side(source)]
        directories = [side.bundle.directory for side in sides]
        assert len(set(directories)) == 2
        assert [one.label for one in suite_inputs(source, sides[0])] == ["reads: anybody reads"]
    assert not any(directory.exists() for directory in directories)
