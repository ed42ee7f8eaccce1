"""Workers of a test: forked from it, with something small to do, and never back in the test."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import coverage

from proxy.process.worker import Worker, take_signals
from proxy.process.workers import Crew, Workers

BROKEN = 70

Work = Callable[[Worker], int]


def nothing() -> None:
    """Be called."""


def end_of_worker(work: Work, worker: Worker) -> NoReturn:
    """Do the work and be gone; what was covered is kept."""
    code = BROKEN
    try:
        code = work(worker)
    except SystemExit:
        code = 0
    finally:
        if measuring := coverage.Coverage.current():
            measuring.stop()
            measuring.save()
        os._exit(code)


def parent_of(
    work: Work, count: int = 2, serving: Callable[[], None] = nothing, **more: float
) -> int:
    """Run workers that do this; return the exit code of their parent, which is this process."""
    crew = Crew(count, serving, nothing, more.get("grace_s", 10.0), more.get("back_off_s", 0.001))
    role = Workers(crew).run()
    if isinstance(role, Worker):
        end_of_worker(work, role)
    return role


def tell_ourselves(number: signal.Signals) -> Callable[[], None]:
    """Return what sends this process a signal."""
    return lambda: os.kill(os.getpid(), number)


def until_told(worker: Worker) -> int:
    """Serve until SIGTERM."""
    take_signals_as_before()
    worker.serves()
    signal.pause()
    return BROKEN


def take_signals_as_before() -> None:
    """End with 0 at SIGTERM, which may have come already."""

    def end(*_: object) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, end)
    take_signals()


class Book:
    """A file that several processes write words into, each whole."""

    def __init__(self, file: Path) -> None:
        self._file = file
        file.touch()

    def write(self, word: object) -> None:
        """Add a word."""
        descriptor = os.open(self._file, os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, f"{word}\n".encode())
        os.close(descriptor)

    @property
    def words(self) -> list[str]:
        """All of them in order."""
        return self._file.read_text().splitlines()
