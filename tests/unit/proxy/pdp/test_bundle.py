"""Staging: what is copied, what is refused, and what the revision stands for."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle import digest, discard, stage

Written = Callable[[dict[str, str]], Path]

MAIN = "package detent.main\n\ndecision := 1\n"
MANIFEST = '{"roots": ["detent", "roles"]}'


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """Where bundles are staged."""
    return tmp_path / "private"


def test_a_staged_bundle_holds_policies_and_data_only(
    policies: Path, private: Path, opa: Path
) -> None:
    """Tests, pages, suites and settings of linters stay behind."""
    bundle = stage(policies, private, opa)
    names = {file.relative_to(bundle.directory).as_posix() for file in _files(bundle.directory)}
    assert {"main.rego", "roles/data.yaml", ".manifest"} <= names
    assert all(name == ".manifest" or name.endswith((".rego", "data.yaml")) for name in names)
    assert not any(name.endswith("_test.rego") for name in names)


def test_a_staged_bundle_is_ours_alone(policies: Path, private: Path, opa: Path) -> None:
    """Directory 0700, files that nobody writes, and not the source."""
    bundle = stage(policies, private, opa)
    assert _mode(private) == _mode(bundle.directory) == 0o700
    assert {_mode(file) for file in _files(bundle.directory)} == {0o400}
    assert policies not in bundle.directory.parents


def test_what_changes_after_the_check_does_not_change_the_bundle(
    source: Path, private: Path, opa: Path
) -> None:
    """The copy is what was checked, whoever writes to the source later."""
    bundle = stage(source, private, opa)
    (source / "main.rego").write_text("package detent.main\n\ndecision := {}\n")
    assert "deny" in (bundle.directory / "main.rego").read_text()


def test_the_manifest_carries_the_revision(policies: Path, private: Path, opa: Path) -> None:
    """OPA reports the revision of the manifest as its provenance."""
    bundle = stage(policies, private, opa)
    manifest = json.loads((bundle.directory / ".manifest").read_text())
    assert manifest["revision"] == bundle.revision
    assert manifest["roots"] == json.loads((policies / ".manifest").read_text())["roots"]


def test_the_revision_is_a_digest_of_what_is_served(
    written: Written, private: Path, opa: Path
) -> None:
    """Outside git it is the digest alone; the same files give the same, a changed byte another."""
    source = written({".manifest": MANIFEST, "main.rego": MAIN, "x_test.rego": "package x_test\n"})
    first = stage(source, private, opa).revision
    (source / "x_test.rego").unlink()
    assert stage(source, private, opa).revision == first
    (source / "main.rego").write_text(MAIN + "\n")
    assert stage(source, private, opa).revision != first
    assert first.startswith("sha256:")
    assert len(first) == len("sha256:") + 64


@pytest.mark.parametrize(
    "other",
    [{"a": b"bc"}, {"a": b"b", "c": b""}, {"ab": b""}, {"b": b"a"}, {}],
)
def test_no_two_bundles_share_a_digest(other: dict[str, bytes]) -> None:
    """Paths and sizes are part of the digest."""
    assert digest({"a": b"b"}) != digest(other)


def test_the_order_of_files_does_not_count() -> None:
    """A digest is over sorted paths."""
    assert digest({"a": b"1", "b": b"2"}) == digest({"b": b"2", "a": b"1"})


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ("", "not JSON"),
        ("[]", "no explicit roots"),
        ("{}", "no explicit roots"),
        ('{"roots": []}', "no explicit roots"),
        ('{"roots": [""]}', "no explicit roots"),
        ('{"roots": "detent"}', "no explicit roots"),
        ('{"roots": ["detent", 1]}', "no explicit roots"),
        ('{"roots": ["roles"]}', "no explicit roots"),
        ('{"roots": ["detent", "system"]}', "no explicit roots"),
        ('{"roots": ["detent", "system/authz"]}', "no explicit roots"),
        ('{"roots": ["detent"], "wasm": []}', "unknown key 'wasm'"),
    ],
)
def test_a_manifest_must_name_its_roots(
    written: Written, private: Path, opa: Path, manifest: str, problem: str
) -> None:
    """Without explicit roots a bundle owns everything, OPA's own policies too."""
    source = written({".manifest": manifest, "main.rego": MAIN})
    with pytest.raises(PolicyInvalid, match=rf"^\.manifest: {problem}.*Cure: "):
        stage(source, private, opa)


def test_a_bundle_without_a_manifest_is_refused(written: Written, private: Path, opa: Path) -> None:
    """Nothing is assumed."""
    with pytest.raises(PolicyInvalid, match=r"\.manifest: missing"):
        stage(written({"main.rego": MAIN}), private, opa)


@pytest.mark.parametrize("place", ["data.yaml", "data.json", "detent/rules/x/data.json"])
def test_data_cannot_pose_as_a_rule(written: Written, private: Path, opa: Path, place: str) -> None:
    """Data at the top or under `detent` could add what no rule decided."""
    source = written({".manifest": MANIFEST, "main.rego": MAIN, place: "{}"})
    with pytest.raises(PolicyInvalid, match="data must not stand"):
        stage(source, private, opa)


def test_a_refused_bundle_leaves_nothing(written: Written, private: Path, opa: Path) -> None:
    """The copy of a broken policy is deleted."""
    source = written({".manifest": MANIFEST, "main.rego": "package detent.main\n\nx := \n"})
    with pytest.raises(PolicyInvalid):
        stage(source, private, opa)
    assert list(private.iterdir()) == []


def test_a_bundle_nobody_serves_is_discarded(policies: Path, private: Path, opa: Path) -> None:
    """Discarding twice is harmless."""
    bundle = stage(policies, private, opa)
    discard(bundle)
    discard(bundle)
    assert not bundle.directory.exists()


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
