"""What operators chose instead of what the source offers, kept on disk until the source moves on.

A choice holds for one offered revision only: a source that offers another one is obeyed again.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from proxy.errors import PolicyError, PolicyInvalid
from proxy.pdp.bundle_files import MANIFEST
from proxy.pdp.delivery.kept import KeptFile
from proxy.pdp.delivery.packing import MAX_PACKED_BYTES, unpack_files

CHOSEN, PREVIOUS, LEFT = "chosen.bundle", "previous.tar.gz", "left.txt"
MAX_HEAD_BYTES = 4096


class Choices:
    """The choice in force and the bundle that was in force before, as archives.

    Processes that share the directory see each other's choices: `changed`.
    """

    def __init__(self, directory: Path) -> None:
        self._chosen = KeptFile(directory, CHOSEN, MAX_HEAD_BYTES + MAX_PACKED_BYTES)
        self._previous = KeptFile(directory, PREVIOUS, MAX_PACKED_BYTES)
        self._left = KeptFile(directory, LEFT, MAX_HEAD_BYTES)
        self._seen = self._chosen.stamp()

    def instead_of(self, offered: str) -> bytes:
        """Return the archive that was chosen instead of an offered revision, nothing if none."""
        self._seen = self._chosen.stamp()
        head, _, packed = self._chosen.read().partition(b"\n")
        return packed if head == _head(offered) else b""

    def choose(self, packed: bytes, offered: str) -> None:
        """Take this archive as long as that revision is offered. Raises PolicyInvalid."""
        if revision_of(packed) == offered:
            self.clear()
        elif not self._chosen.write(_head(offered) + b"\n" + packed):
            raise PolicyInvalid("the choice cannot be kept on disk. Cure: look at policy.state")
        self._seen = self._chosen.stamp()

    def clear(self) -> None:
        """Take what is offered."""
        self._chosen.remove()
        self._seen = self._chosen.stamp()

    def moved_on(self, offered: str) -> None:
        """Forget a choice made instead of another revision: it must not come back with that one."""
        head, found, _ = self._chosen.read().partition(b"\n")
        if found and head != _head(offered):
            self.clear()

    def changed(self) -> bool:
        """Whether another process has chosen since we last looked."""
        return self._chosen.stamp() != self._seen

    def replaced(self, packed: bytes) -> None:
        """Keep the archive of a bundle that is no longer in force."""
        self._previous.write(packed)

    def previous(self) -> bytes:
        """Return that archive, nothing when there is none."""
        return self._previous.read()

    def back(self, revision: str, now: str) -> bytes:
        """Return the archive to go back to from `now`, of that revision when one is named.

        One that was itself left by a rollback, by this process or by another, has to be named:
        whoever asks twice to get rid of a policy must not get it back. Raises PolicyInvalid.
        """
        packed = self.previous()
        if not packed:
            raise PolicyInvalid("there is nothing to go back to: no other policy was in force")
        found = revision_of(packed)
        if revision and revision != found:
            raise PolicyInvalid(f"the policy before this one is {found}. Cure: name that")
        if not revision and found in {now, self._left.read().decode(errors="replace")}:
            raise PolicyInvalid(
                f"the policy before this one, {found}, decides here already or was itself left by "
                "a rollback. Cure: name its revision to take it again, or promote another"
            )
        return packed

    @contextlib.contextmanager
    def leaving(self, revision: str) -> Iterator[None]:
        """Note the revision that a rollback leaves, before it does; forget it when it fails."""
        before = self._left.read()
        self._left.write(revision.encode())
        try:
            yield
        except PolicyError:
            self._left.write(before)
            raise


def revision_of(packed: bytes) -> str:
    """Return the revision an archive was staged under. Raises PolicyInvalid."""
    try:
        return str(json.loads(unpack_files(packed)[MANIFEST])["revision"])
    except (KeyError, TypeError, ValueError):
        raise PolicyInvalid("the archive has no revision. Cure: remove it") from None


def _head(offered: str) -> bytes:
    return json.dumps({"instead_of": offered}).encode()
