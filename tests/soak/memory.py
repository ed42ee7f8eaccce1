"""How much memory processes hold over time, and whether that grows."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.processes import opa_of
from tests.soak.fleet import Fleet
from tests.soak.observed import now_s

EVERY_S = 2.0
WARM_UP = 0.25
JUDGED_AFTER_S = 600.0
FLAT_PER_HOUR = 0.10
MIB = 1 << 20
CRITERION = (
    f"flat: by least squares over what follows the first {WARM_UP:.0%} of a process's life, it "
    f"grows by less than {FLAT_PER_HOUR:.0%} of its mean size in an hour; processes watched for "
    f"less than {JUDGED_AFTER_S / 60:.0f} min are shown and not judged"
)


@dataclass(frozen=True)
class Held:
    """One process: how long it was watched, its mean size and its growth, in MiB."""

    process: str
    watched_s: float
    mean_mib: float
    mib_per_hour: float

    @property
    def is_flat(self) -> bool | None:
        """Whether it does not grow; None when it was not watched for long enough."""
        if self.watched_s < JUDGED_AFTER_S:
            return None
        return self.mib_per_hour < FLAT_PER_HOUR * self.mean_mib


@dataclass
class Memory:
    """Samples of every process, by its name and number."""

    fleet: Fleet
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    async def run(self, until: asyncio.Event) -> None:
        """Look now and then until told to end."""
        while not until.is_set():
            self._look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), EVERY_S)

    def _look(self) -> None:
        for replica in self.fleet.up:
            with contextlib.suppress(OSError, ValueError):
                pid = replica.gateway.pid
                self._note(f"{replica.name} gateway {pid}", pid)
                opa = opa_of(pid)
                self._note(f"{replica.name} opa {opa}", opa)

    def _note(self, name: str, pid: int) -> None:
        status = Path(f"/proc/{pid}/status").read_text()
        (line,) = (one for one in status.splitlines() if one.startswith("VmRSS"))
        self.samples[name].append((now_s(), int(line.split()[1]) / 1024))

    def held(self) -> list[Held]:
        """Return every process that was looked at more than a few times."""
        return [growth(name, seen) for name, seen in self.samples.items() if len(seen) > 4]


def growth(name: str, samples: Sequence[tuple[float, float]]) -> Held:
    """Fit a line through (seconds, MiB), the warm-up left out."""
    begin, end = samples[0][0], samples[-1][0]
    kept = [one for one in samples if one[0] >= begin + WARM_UP * (end - begin)]
    mean_at = sum(at for at, _ in kept) / len(kept)
    mean = sum(size for _, size in kept) / len(kept)
    spread = sum((at - mean_at) ** 2 for at, _ in kept)
    lean = sum((at - mean_at) * (size - mean) for at, size in kept)
    return Held(name, end - begin, mean, 3600 * lean / spread if spread else 0.0)
