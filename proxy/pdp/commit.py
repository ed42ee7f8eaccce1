"""The git commit policies come from: written beside the digest, for people. Proves nothing."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from proxy.pdp.bundle_files import belongs

GIT_TIMEOUT_S = 5.0
SHORT = 12

# Nothing of the machine's or the repository's own settings that could start another program. A
# folder of policies may itself look like a bare repository, with settings of its author's.
_ENV = {
    "PATH": os.defpath,
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",  # what is missing is not fetched: that runs what the settings say
    "GIT_NO_LAZY_FETCH": "1",
}
_SETTINGS = tuple(
    part
    for setting in (
        "core.fsmonitor=false",
        f"core.hooksPath={os.devnull}",
        "log.showSignature=false",
        "safe.bareRepository=explicit",
    )
    for part in ("-c", setting)
)


def commit_of(source: Path, files: Mapping[str, bytes]) -> str:
    """Return `+git:<12 hex>`, with `-dirty` when these files are not that commit's, or nothing.

    Nothing is also the answer when git is missing, slow, or does not trust the owner.
    """
    commit = _git(source, "rev-parse", "--verify", "HEAD^{commit}")
    tree = _git(source, "ls-tree", "-r", "-z", "HEAD", ".")
    if not commit or tree is None:
        return ""
    ours = {path: _blob_id(content, commit) for path, content in files.items()}
    return f"+git:{commit[:SHORT].decode()}{'' if ours == _blobs(tree) else '-dirty'}"


def commit_time(source: Path) -> int:
    """Return when the newest commit of these files was made, in seconds since 1970; 0 without one.

    It grows with every commit, also with one that takes another back.
    """
    told = _git(source, "log", "-1", "--format=%ct", "--", ".") or b""
    return int(told) if told.strip().isdigit() else 0


def _blobs(tree: bytes) -> dict[str, str]:
    """Return blob ids of the bundle's files by path, from `git ls-tree -z` in the source."""
    entries = (entry.partition("\t") for entry in tree.decode(errors="replace").split("\0"))
    return {path: about.split()[2] for about, _, path in entries if path and belongs(path)}


def _blob_id(content: bytes, commit: bytes) -> str:
    """Return the id git gives this content, in the hash the repository's commits are named by."""
    name = "sha256" if len(commit.strip()) == hashlib.sha256().digest_size * 2 else "sha1"
    state = hashlib.new(name, usedforsecurity=False)
    state.update(f"blob {len(content)}\0".encode())
    state.update(content)
    return state.hexdigest()


def _git(source: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(  # noqa: S603 fixed program and arguments, no shell
            ["git", *_SETTINGS, "-C", str(source), *arguments],  # noqa: S607 found on _ENV's PATH
            env=_ENV,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
