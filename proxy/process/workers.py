"""Several copies of one process that share its listening sockets, and the parent that keeps them.

The parent forks, waits and passes signals on; it serves nothing itself and never has a thread or an
event loop, so that a fork of it is whole. A worker is killed by the kernel when its parent dies
(parent-death signal). Linux only.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat

from proxy.model.token import new_id
from proxy.process.keeper import PR_SET_PDEATHSIG, prctl
from proxy.process.siblings import Mailbox, Siblings
from proxy.process.worker import HEEDED, Worker

log = logging.getLogger(__name__)

FIRST_BACK_OFF_S = 0.5
LAST_BACK_OFF_S = 30.0
STEADY_S = 60.0  # who has served that long has not failed at starting
MAX_FAILURES = 6  # in a row, of one worker
REMEMBERED_S = 60.0
MAX_ORDERS = 16
UNAVAILABLE = 3


@dataclass(slots=True)
class Slot:
    """The place of one worker, whoever fills it now. Times are CLOCK_MONOTONIC, in seconds."""

    number: int
    due_s: float = 0.0
    started_s: float = 0.0
    pid: int = 0
    control: socket.socket | None = None
    serves: bool = False
    failures: int = 0

    def ended(self) -> None:
        """Forget who has filled it."""
        if self.control is not None:
            self.control.close()
        self.pid, self.control, self.serves = 0, None, False


@dataclass(frozen=True, slots=True)
class Crew:
    """What the parent is to do.

    `serving` is called when all of `count` workers serve for the first time, `stopping` when they
    are told to stop. Then they have `grace_s` before they are killed.
    """

    count: int
    serving: Callable[[], None]
    stopping: Callable[[], None]
    grace_s: float
    back_off_s: float = field(default=FIRST_BACK_OFF_S)


class Workers:
    """The parent. Only its main thread may run it: signals come there."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._slots = [Slot(number) for number in range(1, crew.count + 1)]
        self._mailboxes = tuple(Mailbox.new() for _ in self._slots)
        self._have_served = False
        self._orders: list[tuple[float, bytes]] = []
        self._stop_by_s: float | None = None
        self._code = 0

    def run(self) -> Worker | int:
        """Return twice, as fork does: in each worker who it is, in the parent its exit code."""
        with _woken() as wake:
            while True:
                for slot in self._slots:
                    worker = self._start(slot)
                    if worker is not None:
                        return worker
                self._wait(wake)
                for number in _signals(wake):
                    self._heed(signal.Signals(number))
                self._hear()
                self._reap()
                if self._stop_by_s is not None and not any(slot.pid for slot in self._slots):
                    for mailbox in self._mailboxes:
                        mailbox.close()
                    return self._code

    def _start(self, slot: Slot) -> Worker | None:
        """Start a worker where one is due; return it in the worker itself."""
        if slot.pid or self._stop_by_s is not None or slot.due_s > time.monotonic():
            return None
        parent = os.getpid()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # What comes before the worker can heed it waits for it.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
        pid = os.fork()
        if pid == 0:
            ours.close()
            return self._become(slot.number, theirs, parent)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
        theirs.close()
        ours.setblocking(False)
        slot.pid, slot.control, slot.started_s = pid, ours, time.monotonic()
        for given_s, order in self._orders:
            if slot.started_s - given_s < REMEMBERED_S:
                self._tell(slot, order)
        return None

    def _become(self, number: int, control: socket.socket, parent: int) -> Worker:
        """In the worker: die with the parent, and let go of what is the parent's alone."""
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before
            os.kill(os.getpid(), signal.SIGKILL)
        for slot in self._slots:
            slot.ended()
        return Worker(number, control, Siblings(number, self._mailboxes))

    def _wait(self, wake: int) -> None:
        """Sleep until a signal or a worker says something, or until something is due."""
        polled = select.poll()
        polled.register(wake, select.POLLIN)
        for slot in self._slots:
            if slot.control is not None and not slot.serves:
                polled.register(slot.control, select.POLLIN)
        due = [slot.due_s for slot in self._slots if not slot.pid and self._stop_by_s is None]
        if self._stop_by_s is not None:
            due.append(self._stop_by_s)
        left_s = min(due) - time.monotonic() if due else None
        polled.poll(None if left_s is None else max(0.0, left_s * 1000 + 1))

    def _heed(self, number: signal.Signals) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._stop(0)
        elif number == signal.SIGHUP:
            self._signal(signal.SIGHUP)
        elif number == signal.SIGUSR1:
            self._halt()

    def _halt(self) -> None:
        """Have every worker kill everything: one order, so that one lift is enough.

        Those that start soon after are told too: it may have reached only some that were dying.
        """
        order = f"halt {new_id('kil')}".encode()
        self._orders = [*self._orders[1 - MAX_ORDERS :], (time.monotonic(), order)]
        for slot in self._slots:
            self._tell(slot, order)

    def _tell(self, slot: Slot, order: bytes) -> None:
        with contextlib.suppress(OSError):  # dead, or frozen: the kill log tells it
            if slot.control is not None:
                slot.control.send(order)

    def _hear(self) -> None:
        """Note who serves; the first time that all do is told."""
        for slot in self._slots:
            with contextlib.suppress(OSError):
                if slot.control is not None and slot.control.recv(64):
                    slot.serves = True
        if not self._have_served and all(slot.serves for slot in self._slots):
            self._have_served = True
            self._crew.serving()

    def _reap(self) -> None:
        by_pid = {slot.pid: slot for slot in self._slots if slot.pid}
        for pid, status in dead(tuple(by_pid), is_init=os.getpid() == 1):
            if pid in by_pid:
                self._ended(by_pid[pid], os.waitstatus_to_exitcode(status))
        if self._stop_by_s is not None and self._stop_by_s <= time.monotonic():
            self._signal(signal.SIGKILL)
            self._stop_by_s = time.monotonic() + 1.0

    def _ended(self, slot: Slot, code: int) -> None:
        """Decide what follows on the end of a worker."""
        has_served, lived_s = slot.serves, time.monotonic() - slot.started_s
        slot.ended()
        if self._stop_by_s is not None:
            return
        log.warning("worker ended", extra={"worker": slot.number, "exit_code": code})
        if not self._have_served:  # as a gateway of one process ends when it cannot start
            self._stop(code if code > 0 else UNAVAILABLE)
            return
        if has_served and (code == 0 or lived_s >= STEADY_S):
            slot.failures = 0
        slot.failures += 0 if has_served and code == 0 else 1
        if slot.failures >= MAX_FAILURES:
            log.critical("worker cannot be kept running", extra={"worker": slot.number})
            self._stop(UNAVAILABLE)
            return
        wait_s = self._crew.back_off_s * 2 ** (slot.failures - 1) if slot.failures else 0.0
        slot.due_s = time.monotonic() + min(wait_s, LAST_BACK_OFF_S)

    def _stop(self, code: int) -> None:
        if self._stop_by_s is None:
            self._code = code
            self._stop_by_s = time.monotonic() + self._crew.grace_s
            self._crew.stopping()
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, number)  # not reaped yet, so it is still ours


def dead(pids: Sequence[int], *, is_init: bool) -> Iterator[tuple[int, int]]:
    """Yield pid and status of each of these that has ended.

    The first process of a container (`is_init`) gets the orphans of all others too, and is the only
    one that can bury them.
    """
    asked = repeat(-1) if is_init else pids
    with contextlib.suppress(ChildProcessError):  # nobody is left
        for one in asked:
            pid, status = os.waitpid(one, os.WNOHANG)
            if pid:
                yield pid, status
            elif is_init:
                return


@contextlib.contextmanager
def _woken() -> Iterator[int]:
    """Yield a descriptor that gets the number of every signal; afterwards all is as before."""
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = {one: signal.signal(one, _noted) for one in (*HEEDED, signal.SIGCHLD)}
    had = signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    try:
        yield wake
    finally:
        signal.set_wakeup_fd(had)
        for one, handler in before.items():
            signal.signal(one, handler)
        os.close(wake)
        os.close(woken)


def _noted(number: int, frame: object) -> None:
    """Do nothing: the descriptor has the number."""
    del number, frame


def _signals(wake: int) -> set[int]:
    try:
        return set(os.read(wake, 512))
    except BlockingIOError:
        return set()
