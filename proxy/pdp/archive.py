"""A staged bundle as one file, for those who take their policy from us."""

import io
import tarfile
from pathlib import Path

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle_files import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, belongs, read_bundle


def pack(directory: Path) -> bytes:
    """Return a .tar.gz of what the bundle holds; the same bundle gives the same bytes inside."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, content in sorted(read_bundle(directory).items()):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = 0o600
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def unpack(packed: bytes, directory: Path) -> None:
    """Write the files of an archive below a directory that is empty. Raises PolicyInvalid.

    Only what belongs into a bundle is taken: plain files with relative names, no links, and no
    more than a bundle may hold.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            files = _files(archive)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise PolicyInvalid(f"the archive cannot be read ({type(error).__name__})") from None
    for path, content in files.items():
        target = directory / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.write_bytes(content)


def _files(archive: tarfile.TarFile) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    total_bytes = 0
    for member in archive:
        parts = member.name.split("/")
        plain = member.isreg() and not {"", ".", ".."} & set(parts) and belongs(member.name)
        total_bytes += member.size
        if not plain or member.name in files:
            raise PolicyInvalid("the archive has a member that does not belong into a bundle")
        if member.size > MAX_FILE_BYTES or total_bytes > MAX_TOTAL_BYTES or len(files) >= MAX_FILES:
            raise PolicyInvalid("the archive is larger than a bundle may be")
        content = archive.extractfile(member)
        files[member.name] = content.read() if content is not None else b""
    return files
