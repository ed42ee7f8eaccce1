"""Staging: reviewed policies become a private bundle that nobody can change after its check."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy.errors import PolicyInvalid
from proxy.pdp.base import StagedBundle
from proxy.pdp.bundle_check import check
from proxy.pdp.bundle_files import MANIFEST, read_bundle
from proxy.pdp.commit import commit_of

# The code's own root: data there could pose as the outcome of a rule.
CODE_ROOT = "detent"
CLOSED_ROOTS = frozenset({"system"})
MANIFEST_KEYS = frozenset({"revision", "roots", "rego_version", "metadata"})


def stage(source: Path, private_dir: Path, opa: Path, revision: str = "") -> StagedBundle:
    """Copy what a bundle holds into a fresh directory of mode 0700 and check the copy.

    `private_dir` is created when it is missing; `opa` is the binary that checks. Without a revision
    of whoever gave it to us it is `sha256:<digest>`, with `+git:<commit>` when the source stands in
    a git work tree and `-dirty` when it differs from that commit. Blocks for about a second: call
    it in a thread. Raises PolicyInvalid, with a line for each problem: file, line, what is wrong,
    cure.
    """
    files = read_bundle(source)
    manifest = _manifest(files)
    _check_data_places(files)
    revision = revision or f"sha256:{digest(files)}{commit_of(source, files)}"
    private_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bundle-", dir=private_dir))
    staged = {**files, MANIFEST: json.dumps({**manifest, "revision": revision}).encode()}
    with contextlib.ExitStack() as unless_checked:
        unless_checked.callback(shutil.rmtree, directory, ignore_errors=True)
        _write(directory, staged)
        check(directory, opa)
        unless_checked.pop_all()
    return StagedBundle(directory, revision)


def discard(bundle: StagedBundle) -> None:
    """Delete a staged bundle that nothing serves any more."""
    shutil.rmtree(bundle.directory, ignore_errors=True)


def digest(files: Mapping[str, bytes]) -> str:
    """Return hex SHA-256 over relative paths, sizes and bytes, in the order of the paths."""
    state = hashlib.sha256()
    for path in sorted(files):
        state.update(f"{path}\0{len(files[path])}\0".encode())
        state.update(files[path])
    return state.hexdigest()


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        target = directory / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o400)


def _manifest(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the manifest of the source. Raises PolicyInvalid."""
    if MANIFEST not in files:
        raise PolicyInvalid(f"{MANIFEST}: missing. Cure: name the bundle's roots in it")
    try:
        manifest = json.loads(files[MANIFEST])
    except ValueError:
        raise PolicyInvalid(f"{MANIFEST}: not JSON. Cure: see policies/{MANIFEST}") from None
    if not isinstance(manifest, dict) or not _are_roots(manifest.get("roots")):
        raise PolicyInvalid(
            f"{MANIFEST}: no explicit roots. Cure: list `{CODE_ROOT}` and every folder with data"
        )
    unknown = sorted(manifest.keys() - MANIFEST_KEYS)
    if unknown:
        raise PolicyInvalid(f"{MANIFEST}: unknown key {unknown[0]!r}. Cure: remove it")
    return manifest


def _are_roots(roots: Any) -> bool:
    if not isinstance(roots, list) or not all(isinstance(root, str) and root for root in roots):
        return False
    first = {root.split("/")[0] for root in roots}
    return CODE_ROOT in first and first.isdisjoint(CLOSED_ROOTS)


def _check_data_places(files: Mapping[str, bytes]) -> None:
    """Refuse data at the top and among the code, where it could add to what rules decide."""
    for path in files:
        folders = path.split("/")[:-1]
        if path.endswith((".rego", MANIFEST)) or (folders and folders[0] != CODE_ROOT):
            continue
        raise PolicyInvalid(
            f"{path}: data must not stand at the top or under `{CODE_ROOT}`. "
            "Cure: move it into the folder of its root"
        )
