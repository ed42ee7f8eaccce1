"""Calls between their last look at kill state and lease, and their first byte.

Kills are heard on another thread than calls are made on. So a kill can come to be known here after
a call looked and before it is written; saying then that the kill is obeyed would be early. Whoever
says so waits for the calls on the threshold first: those that come later see the kill.
"""

import threading


class Threshold:
    """The steps that are about to be written. Entered before the look, left after the write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: set[str] = set()

    def enter(self, step_id: str) -> None:
        """Note a call before it looks."""
        with self._lock:
            self._steps.add(step_id)

    def leave(self, step_id: str) -> None:
        """Note that a call is written, or was refused."""
        with self._lock:
            self._steps.discard(step_id)

    def standing(self) -> frozenset[str]:
        """Return the calls that may have looked before now."""
        with self._lock:
            return frozenset(self._steps)
