"""Building what is delivered: one archive of the checked policies, with revision and number.

The revision is the one the directory itself would be served under. The number only grows: who has
loaded one takes no smaller one.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle import stage
from proxy.pdp.bundle_files import MANIFEST, read_bundle
from proxy.pdp.delivery.packing import is_suite, pack_files, unpack_files
from proxy.pdp.delivery.signature import SIGNATURES, Trust, check_signature, signed
from proxy.pdp.manifests import load_catalogue
from proxy.pdp.strict_yaml import load
from proxy.pdp.suites import load_suites

MAX_NUMBER = 2**53 - 1
METADATA = "detent"
_YAML, _JSON = "data.yaml", "data.json"


@dataclass(frozen=True, slots=True)
class Delivered:
    """A bundle that was built: its files, and what its manifest says of it."""

    revision: str
    number: int
    files: Mapping[str, bytes] = field(repr=False)


def build(source: Path, opa: Path, number: int) -> bytes:
    """Return the archive of a directory of policies, unsigned; the same files give the same bytes.

    Data becomes JSON, tests stay behind, suites go along. Raises PolicyInvalid.
    """
    if not 0 < number <= MAX_NUMBER:
        raise PolicyInvalid(f"a number is from 1 to {MAX_NUMBER}. Cure: give another --number")
    suites = suites_of(source)
    with tempfile.TemporaryDirectory(prefix="detent-build-") as private:
        staged = stage(source, Path(private), opa)
        load_suites(source, load_catalogue(staged.directory))
        files = _as_json(read_bundle(staged.directory))
    manifest = json.loads(files[MANIFEST])
    metadata = {**(manifest.get("metadata") or {}), METADATA: {"number": number}}
    files[MANIFEST] = _compact({**manifest, "metadata": metadata})
    return pack_files(files | suites)


def sign(packed: bytes, pem: bytes, keyid: str, scope: str = "") -> bytes:
    """Return the archive with a signature, instead of one it may have. Raises PolicyInvalid."""
    files = unpack_files(packed)
    read_manifest(files)
    return pack_files(files | {SIGNATURES: signed(files, pem, keyid, scope)})


def verify(packed: bytes, trusted: Trust) -> Delivered:
    """Return what an archive holds if it is signed as it must be. Raises PolicyInvalid.

    Nothing of it is read before the signature holds.
    """
    files = unpack_files(packed)
    check_signature(files, trusted)
    return read_manifest({path: files[path] for path in files if path != SIGNATURES})


def read_manifest(files: Mapping[str, bytes]) -> Delivered:
    """Return the bundle these files are. Raises PolicyInvalid."""
    try:
        manifest = json.loads(files[MANIFEST])
        revision, number = manifest["revision"], manifest["metadata"][METADATA]["number"]
    except (KeyError, TypeError, ValueError):
        revision, number = "", 0
    if not isinstance(revision, str) or not revision or type(number) is not int or number < 1:
        raise PolicyInvalid(
            f"{MANIFEST}: no revision and number. Cure: build it with `detent policy build`"
        )
    return Delivered(revision, number, files)


def _as_json(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Write data as JSON: one spelling that everybody who hashes it reads alike."""
    out: dict[str, bytes] = {}
    for path, content in files.items():
        folder, slash, name = path.rpartition("/")
        is_yaml = name == _YAML
        target = f"{folder}{slash}{_JSON}" if is_yaml else path
        if target in out or (is_yaml and target in files):
            raise PolicyInvalid(f"{path}: data stands twice in its folder. Cure: join it")
        out[target] = _compact(load(content, path)) if is_yaml else content
    return out


def suites_of(source: Path) -> dict[str, bytes]:
    """Return the suites beside a directory's policies, by path. Raises PolicyInvalid.

    They are read as the policies are: no link is followed, and no more read than a file may have.
    """
    return read_bundle(source, is_suite)


def _compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
