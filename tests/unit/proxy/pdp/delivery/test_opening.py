import json
import subprocess
from pathlib import Path

import jwt
import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.delivery import opening
from proxy.pdp.delivery.building import build
from proxy.pdp.delivery.hashing import hash_of
from proxy.pdp.delivery.opening import open_bundle
from proxy.pdp.delivery.packing import unpack_files
from proxy.pdp.find_opa import find_opa
from tests.harness.signing import BundleKey

POLICIES = Path(__file__).parents[5] / "policies"


@pytest.mark.parametrize("kind", ["ES256", "EdDSA"])
def test_opa_verifies_what_we_sign(opa: Path, kind: str) -> None:
    """The product's own policies, by both kinds of keys."""
    key = BundleKey.make(kind)
    packed = key.deliver(POLICIES, 3)
    assert open_bundle(packed, key.trust, opa).number == 3


def test_opa_has_the_last_word(
    signed: bytes, key: BundleKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What we hold good and OPA does not is refused."""
    refusing = tmp_path / "opa"
    refusing.write_text("#!/bin/sh\nexit 1\n")
    refusing.chmod(0o755)
    with pytest.raises(PolicyInvalid, match="OPA does not verify"):
        open_bundle(signed, key.trust, refusing)
    monkeypatch.setattr(opening, "verify", lambda *_: None)  # so that OPA alone sees it
    with pytest.raises(PolicyInvalid, match="OPA does not verify"):
        open_bundle(signed, BundleKey.make().trust, find_opa().path)


def test_our_digests_are_those_of_opa(opa: Path, key: BundleKey, tmp_path: Path) -> None:
    """Of every file of the product's own policies, and of values that are spelt oddly."""
    odd = b'{"z":[1.50,-0,1e2,1E+2],"\\u2028<&>":"\\u0000\\u007f\xc3\xa9\\ud83d\\ude00","a":{}}'
    files = unpack_files(build(POLICIES, opa, 5)) | {"roles/odd/data.json": odd}
    place = tmp_path / "x"
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    (tmp_path / "key.pem").write_bytes(key.private)
    command = (opa, "sign", "--bundle", "--signing-alg=ES256", "--signing-key=../key.pem", ".")
    subprocess.run(command, cwd=place, check=True)
    (token,) = json.loads((place / ".signatures.json").read_bytes())["signatures"]
    listed = json.loads(jwt.PyJWS().decode(token, key.public, algorithms=["ES256"]))["files"]
    theirs = {one["name"]: one["hash"] for one in listed}
    assert theirs == {path: hash_of(path, content) for path, content in files.items()}
