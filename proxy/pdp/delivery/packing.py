"""A bundle's files as a .tar.gz: the same files give the same bytes, and few bytes give few files.

Unpacked in memory, and decompressed only as far as a bundle may be large. The bytes are not
trusted yet, so only plain headers (POSIX.1-1988, ustar) are read: no extended one, which could
carry names without end and is read by a recursion.
"""

import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle_files import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, belongs
from proxy.pdp.delivery.signature import SIGNATURES

MAX_PACKED_BYTES = 16 * 1024 * 1024
FORMAT = tarfile.USTAR_FORMAT
MAX_TAR_BYTES = MAX_TOTAL_BYTES + MAX_FILES * 2 * tarfile.BLOCKSIZE
MAX_TOLD_CHARS = 120
_GZIP = 16 + zlib.MAX_WBITS
# RFC 1952 without a time, a name, or the system it was made on.
_LEVEL = 9


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """Return the archive, its members sorted. Raises PolicyInvalid: a path that does not fit."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=FORMAT, encoding="utf-8") as archive:
        for path in sorted(files):
            _add(archive, path, files[path])
    squeeze = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return squeeze.compress(packed.getvalue()) + squeeze.flush()


def _add(archive: tarfile.TarFile, path: str, content: bytes) -> None:
    member = tarfile.TarInfo(path)
    member.size = len(content)
    member.mode = 0o600
    fits = path.isprintable()
    try:
        archive.addfile(member, io.BytesIO(content))
    except ValueError:
        fits = False
    if not fits:
        told = ascii(path[:MAX_TOLD_CHARS])
        raise PolicyInvalid(f"{told}: a path that is too long or odd. Cure: rename it")


def unpack_files(packed: bytes) -> dict[str, bytes]:
    """Return the files by relative path. Raises PolicyInvalid.

    Taken are plain files that belong into a bundle, its suites, and its signatures.
    """
    files: dict[str, bytes] = {}
    for member, content in _members(_inflated(packed)):
        if not _is_plain(member) or member.name in files:
            raise PolicyInvalid("the archive has a member that does not belong into a bundle")
        if member.size > MAX_FILE_BYTES or len(files) >= MAX_FILES:
            raise PolicyInvalid("the archive is larger than a bundle may be")
        files[member.name] = content
    return files


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


def _members(content: bytes) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield the members one behind the other, until the zeros at the end. Raises PolicyInvalid."""
    at = 0
    while header := content[at : at + tarfile.BLOCKSIZE].rstrip(b"\0"):
        at += tarfile.BLOCKSIZE
        member = _read(header.ljust(tarfile.BLOCKSIZE, b"\0"))
        if not 0 <= member.size <= len(content) - at:
            raise PolicyInvalid("the archive cannot be read (a member is cut off)")
        yield member, content[at : at + member.size]
        at += -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _read(header: bytes) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except (tarfile.TarError, ValueError) as error:
        raise PolicyInvalid(f"the archive cannot be read ({type(error).__name__})") from None


def _is_plain(member: tarfile.TarInfo) -> bool:
    path = member.name
    is_relative = not {"", ".", ".."} & set(path.split("/"))
    is_ours = path == SIGNATURES or belongs(path) or is_suite(path)
    return member.type == tarfile.REGTYPE and path.isprintable() and is_relative and is_ours
