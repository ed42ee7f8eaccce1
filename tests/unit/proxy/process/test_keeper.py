"""The keeper alone: its protocol on the socket pair, and what it knows of processes."""

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.process import keeper

PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


class Kept:
    """A keeper under test and our end of its socket pair."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        self.control.settimeout(5)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, keeper.__file__, str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )

    def run(self, *command: str, user: str | None = None, scratch: Path | None = None) -> str:
        """Send a specification, return the first line of the answer."""
        place = str(scratch) if scratch else None
        spec = {"command": command, "env": PATH, "cwd": None, "user": user, "scratch": place}
        self.control.sendall(json.dumps(spec).encode() + b"\n")
        return self.line()

    def line(self) -> str:
        """Return the next line, empty at the end of file."""
        line = b""
        while not line.endswith(b"\n") and (byte := self.control.recv(1)):
            line += byte
        return line.decode().strip()


def heeds_term(told: str) -> None:
    """Wait until the program of a `started <pid>` has set its own disposition of SIGTERM."""
    status = Path(f"/proc/{told.split()[1]}/status")
    for _ in range(1000):
        fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
        if (int(fields["SigCgt"], 16) | int(fields["SigIgn"], 16)) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)
    pytest.fail("the program never came to its trap")


@pytest.fixture
def kept() -> Iterator[Kept]:
    """Give a keeper that is gone after the test."""
    kept = Kept()
    yield kept
    kept.control.close()
    kept.process.wait(10)


def test_the_end_of_the_program_is_told(kept: Kept) -> None:
    """The keeper says when the program runs, how it ended, and ends itself."""
    assert kept.run("sh", "-c", "exit 5").startswith("started ")
    assert kept.line() == "exit 5"
    assert kept.process.wait(5) == 0


@pytest.mark.parametrize(
    ("order", "code"), [(b"stop 5\n", -signal.SIGTERM), (b"stop 0\n", -signal.SIGKILL)]
)
def test_an_order_to_stop_is_obeyed(kept: Kept, order: bytes, code: int) -> None:
    """With grace TERM comes first, without any KILL at once."""
    kept.run("sleep", "60")
    kept.control.sendall(order)
    assert kept.line() == f"exit {code}"


def test_the_end_of_file_ends_the_program(kept: Kept) -> None:
    """A gateway that is gone cannot be told; its program ends all the same."""
    pid = int(kept.run("sleep", "60").split()[1])
    kept.control.close()
    assert kept.process.wait(5) == 0
    assert not Path(f"/proc/{pid}").exists()


def test_scratch_is_removed_after_the_program(kept: Kept, tmp_path: Path) -> None:
    """Also when the gateway is gone; what its links point to stays."""
    scratch, other = tmp_path / "scratch", tmp_path / "other"
    (scratch / "in" / "deep").mkdir(parents=True)
    (scratch / "in" / "file").write_text("x")
    other.mkdir()
    (other / "file").write_text("x")
    (scratch / "link").symlink_to(other / "file")
    kept.run("sleep", "60", scratch=scratch)
    kept.control.close()
    assert kept.process.wait(5) == 0
    assert not scratch.exists()
    assert (other / "file").exists()


def test_a_signal_to_the_keeper_ends_the_program(kept: Kept) -> None:
    """SIGTERM is also what the kernel sends when the gateway dies."""
    kept.run("sleep", "60")
    kept.process.terminate()
    assert kept.line() == f"exit {-signal.SIGTERM}"


def test_term_is_heeded_before_kill(kept: Kept) -> None:
    """A program that takes a moment to clean up gets it."""
    script = "trap 'sleep 0.1; exit 6' TERM; while :; do sleep 0.05; done"
    heeds_term(kept.run("sh", "-c", script))
    kept.control.sendall(b"stop 5\n")
    assert kept.line() == "exit 6"


def test_a_program_that_ignores_term_is_killed(kept: Kept) -> None:
    """After the grace comes SIGKILL."""
    heeds_term(kept.run("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"))
    kept.control.sendall(b"stop 0.1\n")
    assert kept.line() == f"exit {-signal.SIGKILL}"


@pytest.mark.parametrize(
    ("command", "user", "answer"),
    [
        ("no-such-command", None, "failed 'no-such-command': No such file or directory"),
        ("sh", "no-such-user", "failed there is no user 'no-such-user' on this host; create it"),
    ],
)
def test_a_failed_start_is_told(kept: Kept, command: str, user: str | None, answer: str) -> None:
    """The gateway hears why there is no program, and the keeper ends."""
    assert kept.run(command, user=user) == answer
    assert kept.process.wait(5) == 1


def test_nonsense_instead_of_a_specification_starts_nothing(kept: Kept) -> None:
    """A gateway that dies half way through its first line leaves nothing running."""
    kept.control.sendall(b'{"command": ["slee')
    kept.control.shutdown(socket.SHUT_WR)
    assert kept.line().startswith("failed ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change identity")
def test_root_takes_on_another_identity(kept: Kept) -> None:
    """The program runs with the ids of the account."""
    pid = int(kept.run("sleep", "60", user="nobody").split()[1])
    assert "Uid:\t65534\t65534\t65534\t65534" in Path(f"/proc/{pid}/status").read_text()


def test_our_own_account_needs_no_change() -> None:
    """Naming the user we are already is allowed to anyone."""
    assert keeper.identity(pwd.getpwuid(os.geteuid()).pw_name) is None


def test_only_root_takes_on_another_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other gateway says what to do instead."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(keeper.Unstarted, match="run the gateway as root, or leave `user` out"):
        keeper.identity("nobody")


def test_prctl_raises_what_the_kernel_says() -> None:
    """An option the kernel does not know is an error, not silence."""
    with pytest.raises(OSError, match="Invalid argument"):
        keeper.prctl(12345678, 0)


def test_descendants_are_found_by_parent() -> None:
    """A child and a grandchild are below us, whatever their command is named."""
    script = "exec -a ') Z 1 (' sleep 60 & echo $!; wait"
    with subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        assert {child.pid, grandchild} <= set(keeper.descendants(os.getpid()))
        os.kill(grandchild, signal.SIGKILL)
