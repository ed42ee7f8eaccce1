"""Real workers: each test is their parent."""

import os
import signal
import time
from pathlib import Path

import pytest

from proxy.process import workers as module
from proxy.process.worker import ORDER_BYTES, Worker
from proxy.process.workers import Crew, Workers
from tests.harness.crew import (
    BROKEN,
    Book,
    Work,
    end_of_worker,
    nothing,
    parent_of,
    tell_ourselves,
    until_told,
)
from tests.harness.processes import is_alive


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "book")


def noted(book: Book, work: Work = until_told) -> Work:
    """Write the number of the worker before its work."""

    def working(worker: Worker) -> int:
        book.write(worker.number)
        return work(worker)

    return working


def count(book: Book) -> int:
    return len(book.words)


def to_the_parent(number: signal.Signals) -> None:
    os.kill(os.getppid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_serve_until_the_parent_is_told_to_stop(book: Book, number: signal.Signals) -> None:
    """It ends with 0 when the last of them has ended, and leaves signals as they were."""
    before = signal.getsignal(number)
    assert parent_of(noted(book), 3, tell_ourselves(number)) == 0
    assert sorted(book.words) == ["1", "2", "3"]
    assert signal.getsignal(number) is before


def test_it_lets_go_of_the_ports_when_it_stops(book: Book) -> None:
    """Nobody connects to a gateway that goes, once its workers have closed theirs."""
    crew = Crew(1, tell_ourselves(signal.SIGTERM), lambda: book.write("closed"), 10.0)
    role = Workers(crew).run()
    if isinstance(role, Worker):
        end_of_worker(until_told, role)
    assert (role, book.words) == (0, ["closed"])


@pytest.mark.parametrize(("code", "told"), [(2, 2), (3, 3), (0, 3), (-9, 3)])
def test_a_start_that_fails_ends_all(code: int, told: int) -> None:
    """With the code of the worker that could not: settings are no better the second time."""

    def fails(worker: Worker) -> int:
        if worker.number == 1:
            return until_told(worker)
        if code < 0:
            os.kill(os.getpid(), -code)
        return code

    assert parent_of(fails) == told


def test_a_worker_that_dies_is_replaced(book: Book) -> None:
    """Under its number; the others go on."""

    def once(worker: Worker) -> int:
        if book.words.count("2") > 1:
            to_the_parent(signal.SIGTERM)
        return until_told(worker)

    def kill_one() -> None:
        os.kill(parent._slots[1].pid, signal.SIGKILL)

    parent = Workers(Crew(2, kill_one, nothing, 10.0, 0.001))
    role = parent.run()
    if isinstance(role, Worker):
        end_of_worker(noted(book, once), role)
    assert role == 0
    assert sorted(book.words) == ["1", "2", "2"]


def test_a_worker_that_ends_by_itself_is_replaced_at_once(book: Book) -> None:
    """It was told to stop, which is how one is renewed: nothing has failed."""

    def ends(worker: Worker) -> int:
        if count(book) > 1:
            to_the_parent(signal.SIGTERM)
            return until_told(worker)
        worker.serves()
        return 0

    assert parent_of(noted(book, ends), 1, back_off_s=60.0) == 0
    assert count(book) == 2


def test_a_worker_that_cannot_be_kept_running_ends_all(book: Book) -> None:
    """After so many failures in a row, for whoever runs the gateway to see."""

    def dies(worker: Worker) -> int:
        if worker.number == 2:
            return until_told(worker)
        book.write("start")
        if count(book) == 1:
            worker.serves()
        time.sleep(0.02)  # until the parent has heard it
        return 1

    assert parent_of(dies) == 3
    assert count(book) == module.MAX_FAILURES


def test_one_that_has_served_for_long_has_not_failed_at_starting(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its failures are counted anew."""
    monkeypatch.setattr(module, "STEADY_S", 0.0)

    def dies(worker: Worker) -> int:
        if count(book) > module.MAX_FAILURES + 2:
            to_the_parent(signal.SIGTERM)
            return until_told(worker)
        worker.serves()
        time.sleep(0.02)  # until the parent has heard it
        return 1

    assert parent_of(noted(book, dies), 1) == 0


def test_a_reload_is_passed_on(book: Book) -> None:
    """One that comes before the worker can heed it waits."""

    def reloads(worker: Worker) -> int:
        worker.serves()
        signal.sigwait([signal.SIGHUP])
        book.write("reload")
        to_the_parent(signal.SIGTERM)
        return until_told(worker)

    assert parent_of(reloads, 1, tell_ourselves(signal.SIGHUP)) == 0
    assert book.words == ["reload"]


def test_a_halt_is_one_order_for_all_workers(book: Book) -> None:
    """So one lift is enough."""

    def obeys(worker: Worker) -> int:
        worker.serves()
        book.write(worker.control.recv(ORDER_BYTES).decode())
        if count(book) == 2:
            to_the_parent(signal.SIGTERM)
        return until_told(worker)

    assert parent_of(obeys, 2, tell_ourselves(signal.SIGUSR1)) == 0
    first, second = book.words
    assert first == second
    assert first.startswith("halt kil_")


def test_a_halt_that_nobody_lives_to_hear_is_told_to_the_next(book: Book) -> None:
    """A worker in the middle of its back-off is no way around a kill."""

    def work(worker: Worker) -> int:
        book.write("start")
        worker.serves()
        if count(book) == 1:
            to_the_parent(signal.SIGUSR1)  # heard after the end of this one
            os.kill(os.getpid(), signal.SIGKILL)
        book.write(worker.control.recv(ORDER_BYTES).decode().partition(" ")[0])
        to_the_parent(signal.SIGTERM)
        return until_told(worker)

    assert parent_of(work, 1) == 0
    assert book.words == ["start", "start", "halt"]


def test_a_worker_that_does_not_end_is_killed(book: Book) -> None:
    """When the time that calls have to end is over."""

    def stays(worker: Worker) -> int:
        worker.serves()  # SIGTERM is still held back
        time.sleep(30)
        return BROKEN

    began = time.monotonic()
    assert parent_of(stays, 2, tell_ourselves(signal.SIGTERM), grace_s=0.1) == 0
    assert time.monotonic() - began < 5


def test_no_worker_outlives_its_parent(book: Book) -> None:
    """However that ends; the kernel sees to it."""

    def told(worker: Worker) -> int:
        book.write(os.getpid())
        return until_told(worker)

    parent = os.fork()
    if parent == 0:
        parent_of(told, 2)
        os._exit(BROKEN)
    while count(book) < 2:
        time.sleep(0.01)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 5
    while any(is_alive(int(pid)) for pid in book.words) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(is_alive(int(pid)) for pid in book.words)


def test_a_worker_whose_parent_died_before_it_could_follow_is_gone(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the fork and the word to the kernel."""
    own = os.getpid()
    monkeypatch.setattr(os, "getppid", lambda: 1 if os.getpid() != own else 0)
    assert parent_of(noted(book), 1) == 3
    assert book.words == []


def test_the_first_process_of_a_container_buries_everybody() -> None:
    """Also those it never started; elsewhere they are others' to bury."""
    pids = []
    for _ in range(3):
        pids.append(os.fork())
        if pids[-1] == 0:
            os._exit(7)
    os.waitid(os.P_PID, pids[0], os.WEXITED | os.WNOWAIT)
    assert [pid for pid, _ in module.dead(pids[:1], is_init=False)] == pids[:1]
    found: list[int] = []
    while len(found) < 2:
        found += [pid for pid, _ in module.dead((), is_init=True)]
    assert sorted(found) == sorted(pids[1:])
    assert list(module.dead((), is_init=True)) == []
