import json
import os
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle import stage
from proxy.pdp.bundle_files import MAX_FILE_BYTES
from proxy.pdp.delivery.building import (
    MAX_NUMBER,
    build,
    read_manifest,
    sign,
    suites_of,
    verify,
)
from proxy.pdp.delivery.packing import pack_files, unpack_files
from proxy.pdp.delivery.signature import SIGNATURES
from tests.harness.signing import BundleKey
from tests.harness.tiny_bundle import BROKEN_RULE, write

MORE_ROOTS = json.dumps({"roots": ["detent", "tools", "budgets", "roles", "x"], "rego_version": 1})


def test_the_same_directory_gives_the_same_bytes(bundle: Path, opa: Path) -> None:
    """So that two who build it can compare."""
    assert build(bundle, opa, 7) == build(bundle, opa, 7)


def test_what_is_delivered_has_the_revision_of_the_directory(
    bundle: Path, opa: Path, tmp_path: Path, signed: bytes, key: BundleKey
) -> None:
    """One policy, one name, however it comes."""
    delivered = verify(signed, key.trust)
    assert delivered.revision == stage(bundle, tmp_path / "private", opa).revision
    assert delivered.number == 7


def test_data_travels_as_json_tests_stay_and_suites_go_along(signed: bytes, key: BundleKey) -> None:
    """The signature itself is no part of the bundle."""
    files = verify(signed, key.trust).files
    assert sorted(files) == [
        ".manifest",
        "budgets/data.json",
        "main.rego",
        "suites/reads.yaml",
        "tools/rec/data.json",
    ]


def test_a_link_among_the_suites_is_not_followed(bundle: Path, tmp_path: Path) -> None:
    """What it leads to would be given to everybody who takes the archive."""
    (tmp_path / "token").write_text("secret")
    (bundle / "suites" / "other.yaml").symlink_to(tmp_path / "token")
    with pytest.raises(PolicyInvalid, match="symbolic link"):
        suites_of(bundle)


@pytest.mark.parametrize("kind", ["pipe", "sparse"])
def test_what_is_no_file_of_a_suites_size_is_not_read(bundle: Path, kind: str) -> None:
    """Reading it would not end, or take all memory."""
    place = bundle / "suites" / "other.yaml"
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.touch()
        os.truncate(place, 2**40)
    with pytest.raises(PolicyInvalid, match=r"suites/other\.yaml: "):
        suites_of(bundle)


def test_signing_again_replaces_the_signature(signed: bytes) -> None:
    """An archive has one."""
    other = BundleKey.make(keyid="next")
    again = other.sign(signed)
    assert verify(again, other.trust).number == 7
    assert list(unpack_files(again)).count(SIGNATURES) == 1


@pytest.mark.parametrize("number", [0, -1, MAX_NUMBER + 1])
def test_a_number_is_one_that_json_keeps(bundle: Path, opa: Path, number: int) -> None:
    """Positive, and exact everywhere."""
    with pytest.raises(PolicyInvalid, match="number"):
        build(bundle, opa, number)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"main.rego": BROKEN_RULE},
        {"suites/reads.yaml": "a: ["},
        {"budgets/data.yaml": "default: 1"},
        {"tools/rec/data.json": "{}"},
        {"x/data.json": '{"a":1}', "x/data.yaml": "b: 1", ".manifest": MORE_ROOTS},
        {"suites/large.yaml": "# " + "x" * MAX_FILE_BYTES + "\n{}"},
    ],
    ids=["rego", "suite", "budgets", "twice", "twice for OPA", "large"],
)
def test_what_no_gateway_would_load_is_not_built(
    bundle: Path, opa: Path, spoilt: dict[str, str]
) -> None:
    """The check is the one a gateway makes."""
    with pytest.raises(PolicyInvalid):
        build(write(bundle, spoilt), opa, 1)


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        b"{",
        b"[]",
        b"{}",
        json.dumps({"revision": "r"}).encode(),
        json.dumps({"revision": "", "metadata": {"detent": {"number": 1}}}).encode(),
        json.dumps({"revision": 1, "metadata": {"detent": {"number": 1}}}).encode(),
        json.dumps({"revision": "r", "metadata": {"detent": {"number": True}}}).encode(),
        json.dumps({"revision": "r", "metadata": {"detent": {"number": 0}}}).encode(),
        json.dumps({"revision": "r", "metadata": {"detent": []}}).encode(),
    ],
)
def test_only_what_was_built_is_signed(key: BundleKey, manifest: bytes | None) -> None:
    """A signed bundle has a revision and a number."""
    files = {} if manifest is None else {".manifest": manifest}
    with pytest.raises(PolicyInvalid, match="detent policy build"):
        sign(pack_files(files), key.private, key.keyid)
    with pytest.raises(PolicyInvalid, match="detent policy build"):
        read_manifest(files)
