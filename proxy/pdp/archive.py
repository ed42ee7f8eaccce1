"""A staged bundle as one file, for those who take their policy from us."""

from pathlib import Path

from proxy.errors import PolicyInvalid
from proxy.pdp.bundle_files import belongs, read_bundle
from proxy.pdp.delivery.packing import pack_files, unpack_files, write_files


def pack(directory: Path) -> bytes:
    """Return a .tar.gz of what the bundle holds; the same bundle gives the same bytes."""
    return pack_files(read_bundle(directory))


def unpack(packed: bytes, directory: Path) -> None:
    """Write the files of an archive below a directory that is empty. Raises PolicyInvalid.

    Only what belongs into a bundle is taken, and no more than a bundle may hold.
    """
    files = unpack_files(packed)
    if not all(map(belongs, files)):
        raise PolicyInvalid("the archive has a member that does not belong into a bundle")
    write_files(files, directory)
