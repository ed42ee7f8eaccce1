"""Reading a bundle's files from a directory that others may write to."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp import bundle_files
from proxy.pdp.bundle_files import belongs, read_bundle
from tests.harness.kubelet import CONFIG_MODE, FIRST, mount

Written = Callable[[dict[str, str]], Path]


@pytest.mark.parametrize(
    ("path", "belongs_there"),
    [
        ("main.rego", True),
        ("rules/a/a.rego", True),
        (".manifest", True),
        ("roles/data.yaml", True),
        ("roles/data.json", True),
        ("rules/a/a_test.rego", False),
        ("a/.manifest", False),
        (".regal/config.yaml", False),
        (".git/a.rego", False),
        ("a/.b/data.yaml", False),
        (".a.rego", False),
        ("README.md", False),
        ("capabilities.json", False),
        ("suites/a.yaml", False),
        ("policy.wasm", False),
        (".signatures.json", False),
    ],
)
def test_what_belongs_into_a_bundle(path: str, belongs_there: bool) -> None:
    """Policies without tests, data files by their names, the manifest."""
    assert belongs(path) is belongs_there


def test_only_what_belongs_is_read(written: Written) -> None:
    """Everything else may stand there and is left out."""
    source = written(
        {"a.rego": "package a", "b/data.yaml": "{}", "b/x.yaml": "", ".git/a.rego": ""}
    )
    assert read_bundle(source) == {"a.rego": b"package a", "b/data.yaml": b"{}"}


def test_other_files_are_read_by_the_same_rules(written: Written) -> None:
    """Suites stand beside the policies."""
    source = written({"a.rego": "package a", "b/x.yaml": "{}"})
    assert read_bundle(source, lambda path: path == "b/x.yaml") == {"b/x.yaml": b"{}"}


def test_a_test_is_left_out(written: Written) -> None:
    """By its name and its package."""
    source = written({"a.rego": "package a", "a_test.rego": "# a\npackage a_test\n"})
    assert list(read_bundle(source)) == ["a.rego"]


def test_a_rule_that_is_named_like_a_test_does_not_vanish(written: Written) -> None:
    """A rule about load tests must not be left out because of its name."""
    source = written({"load_test.rego": "package detent.rules.load_tests\n"})
    with pytest.raises(PolicyInvalid, match=r"load_test\.rego: named like a test"):
        read_bundle(source)


def test_a_link_to_a_file_is_refused(written: Written) -> None:
    """What a link points to can change after the check."""
    source = written({"a.rego": "package a"})
    (source / "b.rego").symlink_to(source / "a.rego")
    with pytest.raises(PolicyInvalid, match=r"b\.rego: a symbolic link"):
        read_bundle(source)


def test_a_link_to_a_directory_is_refused(written: Written, tmp_path: Path) -> None:
    """Nothing is read from elsewhere."""
    source = written({"a.rego": "package a"})
    (source / "rules").symlink_to(tmp_path)
    with pytest.raises(PolicyInvalid, match="rules: a symbolic link"):
        read_bundle(source)


def test_a_linked_manifest_is_refused(written: Written) -> None:
    """Its name begins with a dot, and still."""
    source = written({"a.rego": "package a", "roots": "{}"})
    (source / ".manifest").symlink_to(source / "roots")
    with pytest.raises(PolicyInvalid, match=r"\.manifest: cannot be read"):
        read_bundle(source)


@pytest.mark.parametrize("name", ["a.rego", "data.yaml"])
def test_a_pipe_is_refused_at_once(written: Written, name: str) -> None:
    """A pipe would hang whoever opens it."""
    source = written({"b.rego": "package b"})
    os.mkfifo(source / name)
    with pytest.raises(PolicyInvalid, match=f"{name}: not a regular file"):
        read_bundle(source)


def test_a_data_file_opa_reads_and_we_do_not_is_refused(written: Written) -> None:
    """Leaving `data.yml` out without a word would change what the policies see."""
    with pytest.raises(PolicyInvalid, match=r"roles/data\.yml: would be left out"):
        read_bundle(written({"roles/data.yml": "{}"}))


@pytest.mark.parametrize(
    ("bound", "most"), [("MAX_FILE_BYTES", 8), ("MAX_TOTAL_BYTES", 17), ("MAX_FILES", 1)]
)
def test_a_bundle_has_bounds(
    written: Written, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    """Size of a file, of all files, and their number."""
    source = written({"a.rego": "package a", "b.rego": "package b"})
    assert len(read_bundle(source)) == 2
    monkeypatch.setattr(bundle_files, bound, most)
    with pytest.raises(PolicyInvalid, match=f"more than .*{most} "):
        read_bundle(source)


def test_a_bundle_is_a_directory(tmp_path: Path) -> None:
    """A path that is none is told with its cure."""
    with pytest.raises(PolicyInvalid, match=r"nowhere: not a directory\. Cure: "):
        read_bundle(tmp_path / "nowhere")


def test_what_cannot_be_read_is_told(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreadable folder is no empty folder."""
    open_really = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "rules":
            raise PermissionError(13, "Permission denied", path)
        return open_really(path, flags, mode, dir_fd=dir_fd)

    source = written({"rules/a.rego": "package a"})
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PolicyInvalid, match="rules: cannot be read"):
        read_bundle(source)


def test_a_mounted_config_map_is_read_at_its_newest_update(tmp_path: Path) -> None:
    """Folders are links into the update; nothing of the one before is read."""
    place = mount(tmp_path / "policies", {"a.rego": b"package old"}, CONFIG_MODE)
    newer = {"a.rego": b"package a", ".manifest": b"{}", "b/data.yaml": b"{}", "suites/a.yaml": b""}
    mount(place, newer, CONFIG_MODE, generation="..2026_11_22_11_00_00.987654321")
    wanted = {"a.rego": b"package a", ".manifest": b"{}", "b/data.yaml": b"{}"}
    assert read_bundle(place) == wanted


def test_a_link_inside_a_mount_is_refused(tmp_path: Path) -> None:
    """No kubelet makes one there."""
    place = mount(tmp_path / "policies", {"a.rego": b"package a"}, CONFIG_MODE)
    (place / FIRST / "b.rego").symlink_to("a.rego")
    with pytest.raises(PolicyInvalid, match=r"b\.rego: a symbolic link"):
        read_bundle(place)


def test_what_looks_like_a_mount_and_leads_out_is_refused(tmp_path: Path) -> None:
    """The text has its cure, like that of any other bundle."""
    place = mount(tmp_path / "policies", {"a.rego": b"package a"}, CONFIG_MODE)
    (place / "..data").unlink()
    (place / "..data").symlink_to("../elsewhere")
    with pytest.raises(PolicyInvalid, match=r"no kubelet made\. Cure: put the files"):
        read_bundle(place)
