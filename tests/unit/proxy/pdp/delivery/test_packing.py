import gzip
import io
import tarfile

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle_files import MAX_FILE_BYTES, MAX_FILES
from proxy.pdp.delivery.packing import (
    MAX_PACKED_BYTES,
    MAX_TAR_BYTES,
    is_suite,
    pack_files,
    unpack_files,
)

FILES = {"main.rego": b"package x", ".manifest": b"{}", "suites/a.yaml": b"a: 1\n"}


def archive(*members: tuple[str, bytes, bytes], of: str = "") -> bytes:
    """Return a .tar.gz of (name, type, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as packed:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), of
            packed.addfile(member, io.BytesIO(content))
    return out.getvalue()


def test_files_come_back_as_they_were() -> None:
    """All of them."""
    assert unpack_files(pack_files(FILES)) == FILES


def test_the_same_files_give_the_same_bytes() -> None:
    """In whatever order, at whatever time."""
    assert pack_files(FILES) == pack_files(dict(reversed(FILES.items())))
    assert pack_files(FILES)[4:8] == b"\0\0\0\0"  # RFC 1952: no time


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("suites/a.yaml", True),
        ("suites/a.yml", False),
        ("suites/.a.yaml", False),
        ("suites/x/a.yaml", False),
        ("a.yaml", False),
    ],
)
def test_suites_stand_in_their_folder(path: str, *, expected: bool) -> None:
    """And nowhere else."""
    assert is_suite(path) is expected


REG = tarfile.REGTYPE


@pytest.mark.parametrize(
    "packed",
    [
        archive(("main.rego", REG, b"a"), ("main.rego", REG, b"b")),
        archive(("../main.rego", REG, b"a")),
        archive(("/main.rego", REG, b"a")),
        archive(("./main.rego", REG, b"a")),
        archive(("a//main.rego", REG, b"a")),
        archive(("main.rego", tarfile.SYMTYPE, b""), of="/etc/passwd"),
        archive(("main.rego", tarfile.LNKTYPE, b""), of="data.json"),
        archive(("main.rego", tarfile.CHRTYPE, b"")),
        archive(("a.sh", REG, b"a")),
        archive(("main_test.rego", REG, b"a")),
        archive(("main.rego", REG, b"a" * (MAX_FILE_BYTES + 1))),
        archive(*((f"a{n}.rego", REG, b"") for n in range(MAX_FILES + 1))),
    ],
    ids=[
        "twice", "up", "absolute", "dot", "empty", "symlink", "hardlink", "device", "alien", "test",
        "large", "many",
    ],
)  # fmt: skip
def test_members_that_do_not_belong_are_refused(packed: bytes) -> None:
    """Links, devices, other places, other files, too much."""
    with pytest.raises(PolicyInvalid):
        unpack_files(packed)


def raw(name: bytes, kind: bytes, size: int, content: bytes) -> bytes:
    """Return one member as it stands in a tar, whatever it says of itself."""
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    header[0:100] = name.ljust(100, b"\0")
    header[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]  # as tar
    header[156:157] = kind
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * 32 + sum(header[156:]))
    return bytes(header) + content + b"\0" * (-len(content) % tarfile.BLOCKSIZE)


PAX, LONG = (tarfile.XHDTYPE, b"13 comment=x\n"), (tarfile.GNUTYPE_LONGNAME, b"x\0")


@pytest.mark.parametrize(
    "members",
    [
        *(raw(b"p", kind, len(said), said) * 2000 for kind, said in (PAX, LONG)),
        raw(b"p", tarfile.XHDTYPE, 22, b"22 GNU.sparse.map=a,b\n"),
        raw(b"main.rego", tarfile.GNUTYPE_SPARSE, 1, b"a"),
        raw(b"main.rego", REG, -10_240, b""),
        raw(b"main.rego", REG, 2_000, b"a"),
        raw(b"\xff.rego", REG, 1, b"a"),
        raw(b"a\n.rego", REG, 1, b"a"),
    ],
    ids=["pax", "long names", "sparse map", "sparse", "below zero", "cut", "no text", "two lines"],
)
def test_a_header_that_is_not_plain_is_refused(members: bytes) -> None:
    """Before anything follows it: nobody has signed these bytes yet."""
    with pytest.raises(PolicyInvalid) as refused:
        unpack_files(gzip.compress(members + b"\0" * 1024))
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("path", ["b" * 101 + ".rego", "a\udcff.rego", "a\n.rego"])
def test_a_path_that_could_not_be_read_again_is_not_packed(path: str) -> None:
    """It is told in characters that can be shown and stored."""
    with pytest.raises(PolicyInvalid, match="Cure: rename it") as refused:
        pack_files({path: b""})
    assert str(refused.value).isascii()


WHOLE = pack_files(FILES)


@pytest.mark.parametrize("length", [0, 1, 10, len(WHOLE) // 2, len(WHOLE) - 8, len(WHOLE) - 1])
def test_half_an_archive_is_refused(length: int) -> None:
    """Also when only the check sum is missing."""
    with pytest.raises(PolicyInvalid, match="cut off"):
        unpack_files(WHOLE[:length])


@pytest.mark.parametrize(
    ("packed", "told"),
    [
        (WHOLE + b"x", "behind its end"),
        (WHOLE + WHOLE, "behind its end"),
        (WHOLE[:-8] + b"\0" * 8, "damaged"),
        (b"PK\x03\x04", "not gzip"),
        (gzip.compress(b"no tar" * 1000), "cannot be read"),
        (b"\0" * (MAX_PACKED_BYTES + 1), "larger"),
        (gzip.compress(b"\0" * (MAX_TAR_BYTES + 1)), "larger"),
    ],
    ids=["tail", "two", "sum", "zip", "no tar", "oversize", "bomb"],
)
def test_what_is_no_archive_of_ours_is_refused(packed: bytes, told: str) -> None:
    """A megabyte of zeros in a kilobyte included: it is never spread out whole."""
    with pytest.raises(PolicyInvalid, match=told):
        unpack_files(packed)
