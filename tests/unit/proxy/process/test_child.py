"""Children with real processes: what they inherit, how they end, who they take along."""

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.process.child import Child, ChildFailed, ChildSpec, spawn

Run = Callable[..., Awaitable[Child]]

# Three that sleep: a child, one in a session of its own, one orphaned by a double fork; two of
# them, and the shell itself, ignore SIGTERM.
FAMILY = """
sleep {mark} &
trap '' TERM
setsid sleep {mark} &
( setsid sh -c 'sleep {mark} & exit 0' & )
echo ready
sleep {mark}
"""

GATEWAY = """
import asyncio, signal, sys, uvloop
from proxy.process.child import ChildSpec, spawn

async def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    child = await spawn(ChildSpec("family", ("sh", "-c", sys.argv[1]), env))
    await child.stdout.readline()
    print(child.pid, child.keeper_pid, flush=True)
    await child.wait()

uvloop.run(main())
"""

LIBC_SIGNALS = 0b11 << 31  # 32 and 33: the C library's own, nobody can set them


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


async def until_gone(*pids: int) -> bool:
    """Wait for processes to end."""
    async with asyncio.timeout(5):
        while not all(gone(pid) for pid in pids):
            await asyncio.sleep(0.01)
    return True


async def test_a_child_talks_over_its_pipes(run: Run) -> None:
    """What is written to stdin comes back on stdout of `cat`."""
    child = await run("cat")
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"hello\n")
    assert await child.stdout.readline() == b"hello\n"


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", -9), ("kill -15 $$", -15)]
)
async def test_the_exit_code_is_the_programs(run: Run, script: str, code: int) -> None:
    """`wait` and `stop` both tell how the program ended."""
    child = await run("sh", "-c", script)
    assert await child.wait() == code
    assert await child.stop() == code
    assert not child.running


async def test_without_pipes_the_child_reads_nothing(run: Run) -> None:
    """A child without pipes has /dev/null as stdin."""
    child = await run("sh", "-c", "read line || exit 4", pipes=False)
    assert child.stdin is None
    assert child.stdout is None
    assert await child.wait() == 4


async def test_without_pipes_the_child_speaks_to_the_log(run: Run) -> None:
    """Both of its outputs are kept as last words."""
    child = await run("sh", "-c", "echo out; echo err >&2", pipes=False)
    await child.wait()
    await child.stop()
    assert child.last_words == "out\nerr"


async def test_a_line_beyond_the_limit_is_an_error() -> None:
    """The limit of the reader is the caller's."""
    child = await spawn(ChildSpec("x", ("/bin/echo", "x" * 100)), line_limit_bytes=10)
    assert child.stdout is not None
    with pytest.raises(ValueError, match="limit"):
        await child.stdout.readline()
    await child.stop()


@pytest.mark.parametrize(
    ("fields", "cure"),
    [
        ({"command": ("no-such-command",)}, "'no-such-command': No such file"),
        ({"command": ("/etc/passwd",)}, "'/etc/passwd': Permission denied"),
        ({"command": ("sh",), "cwd": Path("/nowhere")}, "its directory '/nowhere': No such file"),
        ({"command": ("sh",), "user": "no-such-user"}, "no user 'no-such-user' .* create it"),
        ({"command": ("a\0b",)}, "embedded null"),
    ],
)
async def test_a_child_that_cannot_start_says_why(
    run: Run, fields: dict[str, Any], cure: str
) -> None:
    """A failed start names the child and the cause."""
    with pytest.raises(ChildFailed, match=f"test was not started: .*{cure}"):
        await run(**fields)


async def test_a_start_is_bounded_in_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper that does not answer in time is a failed start."""
    monkeypatch.setattr("proxy.process.child.START_TIMEOUT_S", 0.0)
    with pytest.raises(ChildFailed, match="not started in 0"):
        await run("cat")


async def test_a_keeper_that_dies_at_once_is_a_failed_start(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer at all is a failed start."""
    monkeypatch.setattr("proxy.process.child.KEEPER", Path("/dev/null"))
    with pytest.raises(ChildFailed, match="keeper died"):
        await run("cat")


async def test_only_the_given_environment_arrives(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No DETENT_ value reaches the child or the keeper, who has no environment at all."""
    monkeypatch.setenv("DETENT_SECRET", "s3cret")
    child = await run("sleep", "60", env={"PATH": "/usr/bin:/bin", "A": "b"})
    assert Path(f"/proc/{child.pid}/environ").read_bytes() == b"PATH=/usr/bin:/bin\0A=b\0"
    assert Path(f"/proc/{child.keeper_pid}/environ").read_bytes() == b""


async def test_the_environment_is_on_no_command_line(run: Run) -> None:
    """What others may read of the keeper holds nothing of the specification."""
    child = await run("sleep", "60", env={"PATH": "/usr/bin:/bin", "TOKEN": "s3cret"})
    assert b"s3cret" not in Path(f"/proc/{child.keeper_pid}/cmdline").read_bytes()
    assert "s3cret" not in repr(ChildSpec("x", ("x",), {"TOKEN": "s3cret"}))


async def test_no_descriptor_is_inherited(run: Run, tmp_path: Path) -> None:
    """The child has 0, 1 and 2, and the keeper its pipe, whatever the gateway holds open."""
    files = [(tmp_path / str(number)).open("w") for number in range(50)]
    for file in files:
        os.set_inheritable(file.fileno(), True)
    child = await run("sleep", "60")
    assert {fd.name for fd in Path(f"/proc/{child.pid}/fd").iterdir()} == {"0", "1", "2"}
    kept = [fd.readlink() for fd in Path(f"/proc/{child.keeper_pid}/fd").iterdir()]
    assert not [file for file in kept if file.is_relative_to(tmp_path)]
    for file in files:
        file.close()


async def test_the_child_starts_plain(run: Run) -> None:
    """No signal is ignored or blocked, new files are private, privileges cannot grow."""
    child = await run("sh", "-c", "umask; grep -E 'SigBlk|SigIgn|NoNewPrivs' /proc/self/status")
    assert child.stdout is not None
    lines = (await child.stdout.read()).decode().split()
    ignored = int(lines.pop(4), 16) & ~LIBC_SIGNALS
    assert lines == ["0077", "SigBlk:", "0" * 16, "SigIgn:", "NoNewPrivs:", "1"]
    assert ignored == 0


async def test_the_child_leads_its_own_session(run: Run) -> None:
    """A terminal's signals to the gateway do not reach the child."""
    child = await run("sleep", "60")
    assert os.getsid(child.pid) == os.getpgid(child.pid) == child.pid
    assert os.getsid(child.keeper_pid) == child.keeper_pid


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change identity")
async def test_root_runs_a_child_as_another_user(run: Run) -> None:
    """User and groups are the account's, none of ours is kept, and stop still works."""
    child = await run("sh", "-c", "id -u; id -G; exec sleep 60", user="nobody")
    assert child.stdout is not None
    assert await child.stdout.readline() == b"65534\n"
    assert await child.stdout.readline() == b"65534\n"
    assert await child.stop(2) in {-signal.SIGTERM, -signal.SIGKILL}


async def test_stderr_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Lines of stderr stand in the log under the child's name."""
    caplog.set_level(logging.INFO)
    child = await run("sh", "-c", "echo problem >&2", name="tickets")
    await child.stop()
    assert "tickets: problem" in caplog.text


async def test_stop_closes_stdin_first(run: Run) -> None:
    """A child that ends with its input is not signalled."""
    child = await run("sh", "-c", "trap 'exit 9' TERM; cat >/dev/null; exit 0")
    assert await child.stop() == 0


async def test_stop_sends_term_then_kill(run: Run) -> None:
    """A child that ignores both its input and SIGTERM is killed after the grace."""
    child = await run("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    assert child.stdout is not None
    await child.stdout.readline()
    assert await child.stop(0.2) == -signal.SIGKILL


async def test_a_stopped_child_is_killed(run: Run) -> None:
    """SIGSTOP does not save a child."""
    child = await run("sleep", "60")
    os.kill(child.pid, signal.SIGSTOP)
    assert await child.stop(0) == -signal.SIGKILL


async def test_stop_leaves_no_descendant(run: Run, marked: Any) -> None:
    """Sessions of their own and double forks do not save descendants."""
    child = await run("sh", "-c", FAMILY.format(mark=marked.seconds))
    assert child.stdout is not None
    await child.stdout.readline()
    await marked.become(5)
    await child.stop(0.2)
    assert await marked.become(0) == 0


async def test_an_end_by_itself_leaves_no_descendant(run: Run, marked: Any) -> None:
    """When the program ends, what it started ends before `wait` returns."""
    child = await run("sh", "-c", f"setsid sleep {marked.seconds} & sleep 0.2")
    await child.wait()
    assert marked.pids == set()


async def test_a_hanging_keeper_does_not_hold_up_stop(
    run: Run, marked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A keeper that is stopped is killed, and the program with it."""
    monkeypatch.setattr("proxy.process.child.STOP_MARGIN_S", 0.1)
    child = await run("sh", "-c", f"sleep {marked.seconds} & exec sleep {marked.seconds}")
    await marked.become(2)
    os.kill(child.keeper_pid, signal.SIGSTOP)
    assert await child.stop(0) == -signal.SIGKILL
    assert await marked.become(0) == 0


async def test_a_killed_keeper_takes_the_program_with_it(run: Run, marked: Any) -> None:
    """After kill -9 of the keeper the program dies by the kernel, its group by our hand."""
    child = await run("sh", "-c", f"sleep {marked.seconds} & exec sleep {marked.seconds}")
    await marked.become(2)
    os.kill(child.keeper_pid, signal.SIGKILL)
    assert await child.wait() == -signal.SIGKILL
    assert await marked.become(0) == 0


async def test_a_forgotten_child_ends() -> None:
    """A Child nobody holds takes its program with it."""
    child = await spawn(ChildSpec("forgotten", ("/bin/sleep", "60")), pipes=False)
    pid, control, pipes = child.pid, child._control, child._pipes
    del child
    gc.collect()
    assert await until_gone(pid)
    control.writer.close()
    await pipes.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_the_end_of_the_gateway_ends_everything(marked: Any, number: signal.Signals) -> None:
    """However the gateway dies, keeper, program and all descendants are gone."""
    script = FAMILY.format(mark=marked.seconds)
    with subprocess.Popen(
        [sys.executable, "-c", GATEWAY, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as gateway:
        assert gateway.stdout is not None
        pids = [int(pid) for pid in gateway.stdout.readline().split()]
        await marked.become(6)
        gateway.send_signal(number)
    assert await until_gone(*pids)
    assert await marked.become(0) == 0


async def test_a_program_that_forks_without_end_is_ended(run: Run, marked: Any) -> None:
    """KILL goes round until nobody is left, also when new ones appear meanwhile."""
    script = f"trap '' TERM; while :; do setsid sh -c 'sleep {marked.seconds} & exit' & done"
    child = await run("sh", "-c", f"ulimit -u 4000; {script}")
    await asyncio.sleep(0.1)
    await child.stop(0)
    assert await marked.become(0) == 0
