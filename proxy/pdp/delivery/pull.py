"""The policy as it is delivered: looked for, verified, never older, and the last good one kept."""

import asyncio
import contextlib
import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.pdp.delivery.building import Delivered
from proxy.pdp.delivery.kept import LAST_GOOD, KeptFile
from proxy.pdp.delivery.opening import open_bundle
from proxy.pdp.delivery.origin import Origin
from proxy.pdp.delivery.packing import MAX_PACKED_BYTES, write_files
from proxy.pdp.delivery.signature import Trust
from proxy.pdp.scratch import needs_room

log = logging.getLogger(__name__)

FIRST_S = 30.0
AGAIN_S = 1.0

OLDER = (
    "the bundle's number {number} is smaller than {floor}, that of the last good one. Cure: build "
    "what you want with a greater number, or reload with `older`"
)
SAME = (
    "the bundle has the number {number} of the last good one and other policies. Cure: build it "
    "with a greater number"
)


@dataclass(frozen=True, slots=True)
class _Held:
    """A bundle that was verified, and the archive it came in."""

    bundle: Delivered
    packed: bytes


class DeliveredPolicy:
    """Unpacks what is good into `directory`. `revision` is that of its manifest.

    What was unpacked is on trial until `settled` says whether the gateway could load it: only then
    is it the last good one, whose number is the least that is taken. Whoever looks settles before
    the next look. What neither was loaded nor refused is fetched again.
    """

    def __init__(self, origin: Origin, trusted: Trust, opa: Path, state: Path) -> None:
        self._origin = origin
        self._trusted = trusted
        self._opa = opa
        self._kept = KeptFile(state, LAST_GOOD, MAX_PACKED_BYTES)
        self._private = tempfile.TemporaryDirectory(prefix="detent-delivered-")
        self._looking = asyncio.Lock()
        self._good: _Held | None = None
        self._tried: _Held | None = None
        self.problem = ""  # with the last good one, at the start
        self.directory = Path(self._private.name) / "policies"
        self._aside = Path(self._private.name) / "good"  # while another one is on trial

    @property
    def revision(self) -> str:
        """What stands in the directory."""
        return self._standing[0]

    @property
    def number(self) -> int:
        """The number of the last good one; 0 when there is none."""
        return self._good.bundle.number if self._good else 0

    async def first(self) -> None:
        """Take the last good one, or wait for one.

        Raises PolicyInvalid, and PolicyUnavailable when there is none after a while.
        """
        await asyncio.to_thread(self._take_kept)
        try:
            async with asyncio.timeout(FIRST_S):
                while not self.revision:
                    await self._try()
        except TimeoutError:
            cure = "look at policy.bundle and at the server that has it"
            raise PolicyUnavailable(f"There is no policy; {cure}.") from None

    async def look(self, *, anew: bool = False, older: bool = False) -> bool:
        """Unpack what is new, and say whether something is on trial now.

        `anew` asks for what was judged before too, `older` admits a smaller number. Raises
        PolicyUnavailable; PolicyInvalid for a bundle that is refused, once for each.
        """
        async with self._looking:
            packed = await self._origin.fetch(anew=anew or older)
            if packed is None:
                return False
            try:
                is_new = await asyncio.to_thread(self._take, packed, older)
            except PolicyInvalid:
                self._origin.judged()
                raise
            if not is_new:
                self._origin.judged()
            return is_new

    def settled(self, *, loaded: bool, again: bool = False) -> None:
        """Say whether what is on trial could be loaded; blocks for a disk write.

        `again`: it could not, and nothing is wrong with it. Raises PolicyUnavailable.
        """
        tried = self._tried
        if tried is None:
            return
        if not again:
            self._origin.judged()
        if loaded:
            self._good = tried
            shutil.rmtree(self._aside, ignore_errors=True)
            self._kept.write(tried.packed)
        elif self._good is not None:
            with needs_room():
                shutil.rmtree(self.directory, ignore_errors=True)
                self._aside.rename(self.directory)
        self._tried = None

    def standing(self) -> bytes:
        """Return the archive of what stands in the directory; nothing when nothing does."""
        held = self._tried or self._good
        return held.packed if held else b""

    def opened(self, packed: bytes) -> Delivered:
        """Return what an archive holds, verified as any other; blocks.

        Raises PolicyInvalid, PolicyUnavailable.
        """
        with needs_room():
            return open_bundle(packed, self._trusted, self._opa)

    def signed(self) -> bytes:
        """Return the last good archive as it was signed; nothing when there is none."""
        return self._good.packed if self._good else b""

    async def close(self) -> None:
        """Remove our copy and close the connection."""
        await self._origin.close()
        self.cleanup()

    def cleanup(self) -> None:
        """Remove our copy."""
        self._private.cleanup()

    @property
    def _standing(self) -> tuple[str, int]:
        held = self._tried or self._good
        return (held.bundle.revision, held.bundle.number) if held else ("", 0)

    async def _try(self) -> None:
        try:
            await self.look()
        except PolicyUnavailable as error:
            log.warning("the policy cannot be had yet: %s", error)
            await asyncio.sleep(AGAIN_S)

    def _take_kept(self) -> None:
        packed = self._kept.read()
        if not packed:
            if self._kept.stamp():
                self._lose(f"{LAST_GOOD} cannot be read. Cure: look at policy.state")
            return
        try:
            bundle = self.opened(packed)
        except PolicyInvalid as error:
            self._lose(str(error))
            return
        self._unpack(bundle)
        self._good = _Held(bundle, packed)

    def _lose(self, why: str) -> None:
        self.problem = f"the last good policy is not taken, so an older one could be: {why}"
        log.error("%s", self.problem)

    def _take(self, packed: bytes, older: bool) -> bool:
        bundle = self.opened(packed)
        good = self._good.bundle if self._good else None
        if good is not None and not older:
            _check_newer(bundle, good)
        if (bundle.revision, bundle.number) == self._standing:
            return self._tried is not None
        self._unpack(bundle)
        self._tried = _Held(bundle, packed)
        return True

    def _unpack(self, bundle: Delivered) -> None:
        """Put it in the place of what stands there; the last good one is only put aside."""
        with needs_room(), contextlib.ExitStack() as unless_taken:
            fresh = Path(tempfile.mkdtemp(dir=self._private.name))
            unless_taken.callback(shutil.rmtree, fresh, ignore_errors=True)
            write_files(bundle.files, fresh)
            if self._good is not None and not self._aside.exists():
                self.directory.rename(self._aside)
            else:
                shutil.rmtree(self.directory, ignore_errors=True)
            fresh.rename(self.directory)
            unless_taken.pop_all()


def _check_newer(bundle: Delivered, good: Delivered) -> None:
    if bundle.number < good.number:
        raise PolicyInvalid(OLDER.format(number=bundle.number, floor=good.number))
    if bundle.number == good.number and bundle.revision != good.revision:
        raise PolicyInvalid(SAME.format(number=bundle.number))
