"""Once only: the token ids already used, remembered for as long as their tokens could be valid."""

import heapq
import threading


class ReplayCacheFull(Exception):
    """No room to remember another token id, so none can be accepted."""


class ReplayCache:
    """Used token ids in memory, bounded; for the threads of one process and tokens of one issuer.

    Replicas of a resource server need a shared one: anything with this `claim` will do.
    """

    def __init__(self, max_entries: int = 100_000) -> None:
        if max_entries < 1:
            raise ValueError("max_entries must be at least 1")
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._used: set[str] = set()
        self._by_end: list[tuple[float, str]] = []
        self._forgotten_until_s = float("-inf")

    def __len__(self) -> int:
        """How many ids are remembered."""
        return len(self._used)

    def claim(self, jti: str, until_s: float, now_s: float) -> bool:
        """Use an id once: True the first time, False ever after. Times in Unix seconds.

        `until_s` is when the token stops being valid. Raises ReplayCacheFull.
        """
        with self._lock:
            self._forget(now_s)
            # A clock set back revives tokens that were already forgotten: those count as used.
            if jti in self._used or until_s <= self._forgotten_until_s:
                return False
            if len(self._used) >= self._max_entries:
                raise ReplayCacheFull
            self._used.add(jti)
            heapq.heappush(self._by_end, (until_s, jti))
            return True

    def _forget(self, now_s: float) -> None:
        while self._by_end and self._by_end[0][0] <= now_s:
            self._forgotten_until_s, jti = heapq.heappop(self._by_end)
            self._used.discard(jti)
