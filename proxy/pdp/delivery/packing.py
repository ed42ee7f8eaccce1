"""A bundle's files as a .tar.gz: the same files give the same bytes, and few bytes give few files.

Unpacked in memory, and decompressed only as far as a bundle may be large.
"""

import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle_files import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, belongs
from proxy.pdp.delivery.signature import SIGNATURES

MAX_PACKED_BYTES = 16 * 1024 * 1024
MAX_TAR_BYTES = MAX_TOTAL_BYTES + MAX_FILES * 2 * tarfile.BLOCKSIZE
_GZIP = 16 + zlib.MAX_WBITS
# RFC 1952 without a time, a name, or the system it was made on.
_LEVEL = 9


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """Return the archive, its members sorted."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(files):
            member = tarfile.TarInfo(path)
            member.size = len(files[path])
            member.mode = 0o600
            archive.addfile(member, io.BytesIO(files[path]))
    squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return squeeze.compress(packed.getvalue()) + squeeze.flush()


def unpack_files(packed: bytes) -> dict[str, bytes]:
    """Return the files by relative path. Raises PolicyInvalid.

    Taken are plain files that belong into a bundle, its suites, and its signatures.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(_inflated(packed)), mode="r:") as archive:
            return _files(archive)
    except tarfile.TarError as error:
        raise PolicyInvalid(f"the archive cannot be read ({type(error).__name__})") from None


def write_files(files: Mapping[str, bytes], directory: Path) -> None:
    """Write files below a directory that is empty; their folders are made with mode 0700."""
    for path, content in files.items():
        target = directory / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_bytes(content)


def is_suite(path: str) -> bool:
    """Whether a file of that path is a suite of golden decisions."""
    folder, _, name = path.partition("/")
    return folder == "suites" and name.endswith(".yaml") and "/" not in name and name[0] != "."


def _inflated(packed: bytes) -> bytes:
    if len(packed) > MAX_PACKED_BYTES:
        raise PolicyInvalid(f"the archive is larger than {MAX_PACKED_BYTES} bytes")
    inflate = zlib.decompressobj(_GZIP)
    try:
        content = inflate.decompress(packed, MAX_TAR_BYTES)
    except zlib.error:
        raise PolicyInvalid("the archive is not gzip, or is damaged") from None
    if len(content) >= MAX_TAR_BYTES:
        raise PolicyInvalid("the archive is larger than a bundle may be")
    if not inflate.eof or inflate.unused_data:
        raise PolicyInvalid("the archive is cut off, or has more behind its end")
    return content


def _files(archive: tarfile.TarFile) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for member in archive:
        if not _is_plain(member) or member.name in files:
            raise PolicyInvalid("the archive has a member that does not belong into a bundle")
        if member.size > MAX_FILE_BYTES or len(files) >= MAX_FILES:
            raise PolicyInvalid("the archive is larger than a bundle may be")
        content = archive.extractfile(member)
        files[member.name] = content.read() if content is not None else b""
    return files


def _is_plain(member: tarfile.TarInfo) -> bool:
    path = member.name
    is_relative = not {"", ".", ".."} & set(path.split("/"))
    is_ours = path == SIGNATURES or belongs(path) or is_suite(path)
    return member.isreg() and not member.issparse() and is_relative and is_ours
