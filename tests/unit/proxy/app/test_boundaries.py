import json
from pathlib import Path

import pytest

from proxy.app.boundaries import boundaries_between, boundaries_of
from proxy.errors import PolicyInvalid
from proxy.pdp.find_opa import find_opa
from tests.harness.tiny_bundle import BROKEN_RULE, READ, write

OPA = find_opa(tools_dir=Path(".tools/bin")).path
ROLES = {"roles/data.yaml": json.dumps({"other": {"tools": ["rec/*"]}})}
NEW = {
    "tools/rec/data.yaml": json.dumps(
        {"read": READ, "new": READ | {"http": {"method": "GET", "path": "/new"}}}
    )
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write(tmp_path / "bundle")


def test_a_directory_gives_its_boundaries(bundle: Path) -> None:
    """With its roles, where it has some."""
    labels = {one.label for one in boundaries_of(bundle, OPA)}
    assert "rec/read: inside" in labels
    assert "rec/read: role other" not in labels
    assert "rec/read: role other" in {one.label for one in boundaries_of(write(bundle, ROLES), OPA)}


def test_between_two_bundles_each_input_is_asked_once(bundle: Path, tmp_path: Path) -> None:
    """Those of the first, then what only the second has: a new tool is asked of both."""
    after = write(write(tmp_path / "after"), NEW)
    made = {one.label: one.input for one in boundaries_between(bundle, after, OPA)}
    assert "rec/read: inside" in made
    assert "new: rec/read: inside" not in made
    assert "manifest" not in made["new: rec/new: inside"]["resource"]
    assert made["rec/read: manifest: None"]["resource"]["manifest"] is None


def test_a_broken_bundle_has_none(bundle: Path) -> None:
    """It is told as everywhere."""
    with pytest.raises(PolicyInvalid, match=r"main\.rego"):
        boundaries_of(write(bundle, {"main.rego": BROKEN_RULE}), OPA)
