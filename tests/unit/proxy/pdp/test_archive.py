import io
import tarfile
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.archive import pack, unpack
from proxy.pdp.bundle_files import read_bundle
from proxy.pdp.delivery import packing as module

FILES = {
    ".manifest": b'{"roots":["detent","tools"]}',
    "detent/main.rego": b"package detent.main\n",
    "tools/repo/data.yaml": b"push: {}\n",
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        file = tmp_path / "bundle" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "bundle"


def archive_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return an archive as somebody else might write it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as writing:
        for member, content in members:
            member.size = len(content)
            writing.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def test_a_bundle_comes_out_as_it_went_in(bundle: Path, tmp_path: Path) -> None:
    """Its files, and nothing that only lies beside them."""
    (bundle / "README.md").write_text("not part of it")
    (tmp_path / "out").mkdir()
    unpack(pack(bundle), tmp_path / "out")
    assert read_bundle(tmp_path / "out") == FILES
    assert not (tmp_path / "out" / "README.md").exists()


NAME = tarfile.TarInfo
HOSTILE = {
    "above": archive_of((NAME("../data.yaml"), b"")),
    "absolute": archive_of((NAME("/tmp/data.yaml"), b"")),
    "link": archive_of((link("tools/data.yaml", "/etc/passwd"), b"")),
    "program": archive_of((NAME("detent/run.sh"), b"")),
    "twice": archive_of((NAME("a/data.yaml"), b"1"), (NAME("a/data.yaml"), b"2")),
    "no archive": b"hello",
    "cut off": archive_of((NAME("a/data.yaml"), b"1" * 10_000))[:60],
    "nothing": b"",
}


@pytest.mark.parametrize("packed", HOSTILE.values(), ids=HOSTILE)
def test_an_archive_that_is_no_bundle_is_refused(packed: bytes, tmp_path: Path) -> None:
    """And nothing of it is written."""
    with pytest.raises(PolicyInvalid, match="archive"):
        unpack(packed, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_FILE_BYTES", "MAX_TAR_BYTES"])
def test_an_archive_is_bounded(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """In number, in one file, in all."""
    packed = pack(bundle)
    monkeypatch.setattr(module, limit, 2)
    with pytest.raises(PolicyInvalid, match="larger"):
        unpack(packed, tmp_path)
