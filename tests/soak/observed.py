"""`python -m tests.soak.observed FILE serve …`: the gateway, and beside it what its lease allowed.

The process is the real one. What is added writes a line before a call is let start, after its
write, with every renewal and its answer, and with every epoch that is heard. Lines are JSON arrays,
handed to the system before anything goes on, so that they are there after SIGKILL.
"""

import json
import os
import sys
import time
from typing import Any

from proxy.cli import main
from proxy.killswitch.lease import KillLease
from proxy.killswitch.switch import KillSwitch
from proxy.model.lease import Grant, Renewal
from proxy.pipeline.start import Starts

LONGEST_S = 1e9  # instead of an infinite time, which JSON does not have


def now_s() -> float:
    """Return the clock of leases."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Notes:
    """A file that lines are added to, from any thread."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def add(self, kind: str, *values: Any) -> None:
        """Write one line, whole or not at all."""
        bounded = [
            max(-LONGEST_S, min(LONGEST_S, one)) if isinstance(one, float) else one
            for one in values
        ]
        os.write(self._descriptor, json.dumps([kind, *bounded]).encode() + b"\n")


def watch_leases(notes: Notes) -> None:
    """Note every renewal that is asked for, and what its answer made of the lease."""
    ask, granted = KillLease.ask, KillLease.granted

    def noting_ask(self: KillLease, known: int, acked: int) -> Renewal:
        renewal = ask(self, known, acked)
        notes.add("renewal", self._asked[renewal.nonce], renewal.holder, renewal.nonce)
        return renewal

    def noting_granted(self: KillLease, grant: Grant) -> bool:
        before = self._until
        is_taken = granted(self, grant)
        remaining_s = float(grant.remaining_s)
        values = (self.holder, grant.nonce, remaining_s, float(before), float(self._until))
        notes.add("extension", now_s(), *values)
        return is_taken

    KillLease.ask, KillLease.granted = noting_ask, noting_granted  # type: ignore[method-assign]  # on purpose


def watch_starts(notes: Notes) -> None:
    """Note a call before its last look, and after its write."""
    look, look_back = Starts._look, Starts._look_back

    def noting_look(self: Starts, step: Any) -> float:
        at = now_s()
        until = look(self, step)
        whose = (step.principal.tenant, step.principal.agent, step.session.id)
        values = (self._lease.holder, step.id, *whose, step.call.resource_id, step.epoch, until)
        notes.add("start", at, *values)
        return until

    def noting_look_back(self: Starts, step: Any, until: float) -> None:
        notes.add("written", now_s(), step.id)
        look_back(self, step, until)

    Starts._look, Starts._look_back = noting_look, noting_look_back  # type: ignore[method-assign]  # on purpose


def watch_epochs(notes: Notes) -> None:
    """Note the epoch that is obeyed."""
    learn = KillSwitch.learn

    def noting_learn(self: KillSwitch, entries: Any) -> bool:
        is_new = learn(self, entries)
        if is_new:
            notes.add("seen", now_s(), self.synced)
        return is_new

    KillSwitch.learn = noting_learn  # type: ignore[method-assign]  # on purpose


if __name__ == "__main__":
    file = Notes(sys.argv.pop(1))
    watch_leases(file)
    watch_starts(file)
    watch_epochs(file)
    sys.argv[0] = "detent"
    main()
