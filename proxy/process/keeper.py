"""The process between the gateway and a program, so that nothing the program starts outlives us.

Run as `python -I -S keeper.py <descriptor>`, standard library only, with an empty environment.
The descriptor is one end of a socket pair to the gateway:

    gateway -> keeper   one JSON line: what to run
    keeper  -> gateway  `started <pid>` or `failed <why>`
    gateway -> keeper   `stop <seconds>`: TERM, that long to comply, then KILL
    end of file         the gateway is gone, however it went: TERM, GRACE_S, KILL
    keeper  -> gateway  `exit <code>`, when no descendant of the program is left

The keeper is a child subreaper: whoever double-forks or takes a new session comes back to it when
orphaned, and is found by walking /proc. If the keeper itself is killed, the kernel kills the
program (parent-death signal). Linux only.
"""

import contextlib
import ctypes
import json
import os
import pwd
import select
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

GRACE_S = 1.0
ROUND_S = 0.005
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
EXIT_UNSTARTED = 127


class Unstarted(Exception):
    """The program could not be started; the text is the sentence people read."""


def prctl(option: int, value: int) -> None:
    """Set one attribute of this process with a system call. Raises OSError."""
    call = ctypes.CDLL(None, use_errno=True).prctl
    call.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    if call(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def read_line(control: socket.socket) -> bytes:
    """Return what comes before the first newline, or before the end."""
    received = b""
    while not received.endswith(b"\n") and (chunk := control.recv(65536)):
        received += chunk
    return received


def tell(control: socket.socket, line: str) -> None:
    """Send a line to the gateway; when it is gone, the end of file says so."""
    with contextlib.suppress(OSError):
        control.sendall(f"{line}\n".encode())


def identity(user: str) -> tuple[int, int, list[int]] | None:
    """Return uid, gid and groups to take on, None when we are that user already."""
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise Unstarted(f"there is no user {user!r} on this host; create it") from None
    if account.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise Unstarted(
            f"only root can start a program as user {user!r};"
            " run the gateway as root, or leave `user` out"
        )
    return account.pw_uid, account.pw_gid, os.getgrouplist(user, account.pw_gid)


def become(uid: int, gid: int, groups: list[int]) -> None:
    """Take on another identity for good. Raises OSError."""
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def plain_signals() -> None:
    """Undo every inherited disposition and mask: exec keeps what is ignored and blocked."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def run_program(
    spec: dict[str, Any], taken_on: tuple[int, int, list[int]] | None, keeper: int
) -> NoReturn:
    """In the forked child: become the program. Raises Unstarted, OSError, ValueError."""
    os.setsid()
    os.umask(0o077)
    if taken_on:
        become(*taken_on)
    # After the change of identity, which clears it; then look whether the parent died before.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if os.getppid() != keeper:
        raise Unstarted("its keeper died")
    if spec["cwd"] is not None:
        try:
            os.chdir(spec["cwd"])
        except OSError as error:
            raise Unstarted(f"its directory {spec['cwd']!r}: {error.strerror}") from error
    plain_signals()
    os.execvpe(spec["command"][0], spec["command"], spec["env"])  # noqa: S606  # no shell wanted


def start(spec: dict[str, Any]) -> int:
    """Fork and exec the program; return its pid once it runs. Raises Unstarted, OSError.

    The pipe closes with a successful exec; what comes out of it before is why there was none.
    """
    taken_on = identity(spec["user"]) if spec["user"] else None
    told, tell = os.pipe()
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            run_program(spec, taken_on, keeper)
        except (Unstarted, ValueError) as error:
            os.write(tell, str(error).encode())
        except OSError as error:
            os.write(tell, f"{spec['command'][0]!r}: {error.strerror}".encode())
        finally:
            os._exit(EXIT_UNSTARTED)
    os.close(tell)
    with os.fdopen(told, "rb") as problem:
        if why := problem.read():
            os.waitpid(pid, 0)
            raise Unstarted(why.decode())
    return pid


def parents() -> Iterator[tuple[int, int]]:
    """Yield (pid, parent's pid) of every process there is, as proc(5) tells."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"{entry.path}/stat", "rb") as stat:  # noqa: PTH123  # slow to import
                    # The name stands in parentheses and may itself hold spaces and parentheses.
                    yield int(entry.name), int(stat.read().rpartition(b")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue


def descendants(ancestor: int) -> list[int]:
    """Return every process below that one, nearest first."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents():
        children.setdefault(parent, []).append(pid)
    found = list(children.get(ancestor, ()))
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def signal_all(number: int) -> None:
    """Send a signal to every descendant."""
    for pid in descendants(os.getpid()):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


class Keeper:
    """Waits for the program or for the word to stop it, then leaves nothing behind."""

    def __init__(self, control: socket.socket, pid: int, wake: int) -> None:
        self._control = control
        self._pid = pid
        self._wake = wake
        self._code: int | None = None

    def keep(self) -> int:
        """Return the program's exit code, negative for a signal, when nothing of it is left."""
        grace_s = GRACE_S
        ready = select.poll()
        ready.register(self._wake, select.POLLIN)
        ready.register(self._control, select.POLLIN)
        while self._reap() and self._code is None:
            fds = [fd for fd, _ in ready.poll()]
            if self._control.fileno() in fds:
                grace_s = self._asked()
                break
            if self._drain() & {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
                break
        self._end_all(grace_s)
        return EXIT_UNSTARTED if self._code is None else self._code

    def _asked(self) -> float:
        """Return the grace the gateway gives, GRACE_S when the gateway is gone."""
        words = self._control.recv(64).split()
        return float(words[1]) if len(words) > 1 else GRACE_S

    def _drain(self) -> set[int]:
        """Return the numbers of the signals that came (signal.set_wakeup_fd)."""
        try:
            return set(os.read(self._wake, 512))
        except BlockingIOError:
            return set()

    def _reap(self) -> bool:
        """Collect the dead; return whether any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._pid:
                self._code = os.waitstatus_to_exitcode(status)

    def _end_all(self, grace_s: float) -> None:
        """TERM to all, then KILL round after round: who is orphaned in between comes to us."""
        deadline = time.monotonic() + grace_s
        if self._reap() and grace_s > 0:
            signal_all(signal.SIGTERM)
        while self._reap() and (left_s := deadline - time.monotonic()) > 0:
            select.select([self._wake], [], [], left_s)
            self._drain()
        while self._reap():
            signal_all(signal.SIGKILL)
            time.sleep(ROUND_S)


def wake_on_signals() -> int:
    """Return a descriptor that becomes readable with every signal we heed."""
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return wake


def let_go_of_stdio() -> None:
    """Leave stdin and stdout to the program alone, so that both ends see its end of file."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)


def main(control_fd: int) -> int:
    """Keep one program; return the exit code of the keeper."""
    os.closerange(3, control_fd)
    os.closerange(control_fd + 1, os.sysconf("SC_OPEN_MAX"))
    os.set_inheritable(control_fd, False)
    control = socket.socket(fileno=control_fd)
    wake = wake_on_signals()
    try:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        spec = json.loads(read_line(control))
        pid = start(spec)
    except (Unstarted, OSError, ValueError) as error:
        tell(control, f"failed {error}")
        return 1
    let_go_of_stdio()
    tell(control, f"started {pid}")
    code = Keeper(control, pid, wake).keep()
    if spec["scratch"]:
        shutil.rmtree(spec["scratch"], ignore_errors=True)
    tell(control, f"exit {code}")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
