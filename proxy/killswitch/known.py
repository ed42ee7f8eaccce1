"""What this process knows of the kill log: replaced whole, so that a reader never sees half of it.

Renewals are heard on a thread of their own and kills are made on the main one, so there are two
writers; one lock orders them. Readers take no lock: there is one snapshot, and it is exchanged.
"""

import threading
from dataclasses import dataclass

from proxy.model.kill import KillEntry, KillState


@dataclass(frozen=True, slots=True)
class Known:
    """Entries of the log, and the state they come to. Up to the epoch `synced` none is missing."""

    entries: tuple[KillEntry, ...]
    state: KillState
    synced: int


class KnownLog:
    """The snapshot in force. Its epochs only grow (I4)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = Known((), KillState.fold(()), 0)

    def add(self, entries: tuple[KillEntry, ...], *, follow: bool) -> tuple[KillEntry, ...]:
        """Take entries; return those that are new. In force when this returns.

        `follow`: they are all there is after `synced`, which so grows to the last of them.
        """
        with self._lock:
            before = self.now
            epochs = {entry.epoch for entry in before.entries}
            new = tuple(entry for entry in entries if entry.epoch not in epochs)
            followed = (entry.epoch for entry in entries if follow)
            synced = max((before.synced, *followed))
            if new or synced > before.synced:
                known = before.entries + new
                self.now = Known(known, KillState.fold(known) if new else before.state, synced)
        return new

    def since(self, epoch: int) -> tuple[KillEntry, ...]:
        """Return the entries after that epoch, up to `synced`."""
        known = self.now
        if epoch >= known.synced:
            return ()  # thousands ask every second, and hardly ever is there anything
        news = (one for one in known.entries if epoch < one.epoch <= known.synced)
        return tuple(sorted(news, key=lambda one: one.epoch))
