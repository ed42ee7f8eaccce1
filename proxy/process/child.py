"""Spawn a child that cannot outlive us (see keeper.py for how)."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from proxy.errors import DetentError
from proxy.process.stderr import StderrLog

KEEPER = Path(__file__).with_name("keeper.py")
START_TIMEOUT_S = 10.0
STOP_MARGIN_S = 2.0
STDERR_MARGIN_S = 0.5
LINE_LIMIT_BYTES = 16 * 1024 * 1024

Keeper = subprocess.Popen[bytes]


class ChildFailed(DetentError):
    """A child could not be started; the text names the child, what went wrong and the cure."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. `env` is the whole environment: nothing is inherited.

    `command[0]` is looked up on the PATH of `env`. `user` (root only) is the account to run as;
    None keeps ours. `name` stands in log lines and errors. `scratch` is a directory that is removed
    after the program, also when the gateway did not live to see it.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False, default_factory=dict)
    cwd: Path | None = None
    user: str | None = None
    scratch: Path | None = None

    def line(self) -> bytes:
        """Return the specification as the keeper reads it."""
        fields = {
            "command": self.command,
            "env": dict(self.env),
            "cwd": str(self.cwd) if self.cwd else None,
            "user": self.user,
            "scratch": str(self.scratch) if self.scratch else None,
        }
        return json.dumps(fields).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Control:
    """Our end of the socket pair to a keeper. `socket` outlives no keeper; `reader` hears it."""

    socket: socket.socket
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def started(self, spec: ChildSpec) -> int:
        """Have the program started and return its pid. Raises ChildFailed."""
        self.writer.write(spec.line())
        word, rest = await self.hear()
        if word != "started":
            raise ChildFailed(f"{spec.name} was not started: {rest or 'its keeper died'}")
        return int(rest)

    async def hear(self) -> tuple[str, str]:
        """Return the next word of the keeper and what follows it, empty when it is gone."""
        try:
            line = await self.reader.readline()
        except ConnectionError:  # it left with something of ours unread
            line = b""
        word, _, rest = line.decode().strip().partition(" ")
        return word, rest

    def let_go(self) -> None:
        """Show the keeper the end of file; from any thread, at any time."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)


@dataclass(frozen=True, slots=True)
class Pipes:
    """The child's standard streams as we hold them; None where there is no pipe."""

    stdin: asyncio.StreamWriter | None
    stdout: asyncio.StreamReader | None
    transports: tuple[asyncio.BaseTransport, ...]
    stderr: StderrLog
    logging: asyncio.Task[None]

    async def close(self) -> None:
        """Let the last lines of stderr be logged, then close everything."""
        await asyncio.wait({self.logging}, timeout=STDERR_MARGIN_S)
        self.logging.cancel()
        for transport in self.transports:
            transport.close()


class Child:
    """A running program and the keeper between it and us.

    `pid` is the program's. `stdin` and `stdout` are None when spawned without pipes; reading a line
    longer than the limit raises ValueError. Whoever spawned it calls `stop`, also when it has ended
    by itself; a Child that is forgotten instead takes its program with it.
    """

    def __init__(self, name: str, pid: int, keeper: Keeper, control: Control, pipes: Pipes) -> None:
        self.name = name
        self.pid = pid
        self.keeper_pid = keeper.pid
        self.stdin = pipes.stdin
        self.stdout = pipes.stdout
        self._pipes = pipes
        self._control = control
        self._ended = asyncio.create_task(_end_of(keeper, control.hear(), pid))
        weakref.finalize(self, control.let_go)

    @property
    def running(self) -> bool:
        """Whether anything of the program is left."""
        return not self._ended.done()

    async def wait(self) -> int:
        """Return the exit code, negative for a signal, once no descendant is left."""
        return await asyncio.shield(self._ended)

    @property
    def last_words(self) -> str:
        """The newest lines of stderr, bounded and printable."""
        return "\n".join(self._pipes.stderr.last)

    def when_ended(self, call: Callable[[], None]) -> None:
        """Have `call` called once the program and all its descendants have ended."""
        self._ended.add_done_callback(lambda _: call())

    async def stop(self, grace_s: float = 2.0) -> int:
        """End the program and all its descendants, and return its exit code.

        Half of `grace_s` passes after stdin is closed, half after SIGTERM; then SIGKILL. Without a
        stdin pipe all of it passes after SIGTERM; 0 kills at once.
        """
        if self.stdin is not None and self.running:
            self.stdin.close()
            grace_s /= 2
            await asyncio.wait({self._ended}, timeout=grace_s)
        if self.running:
            self._control.writer.write(f"stop {grace_s}\n".encode())
            await asyncio.wait({self._ended}, timeout=grace_s + STOP_MARGIN_S)
        if self.running:  # the keeper itself hangs
            os.kill(self.keeper_pid, signal.SIGKILL)
        code = await self.wait()
        self._control.writer.close()
        await self._pipes.close()
        return code


async def _end_of(keeper: Keeper, hear: Awaitable[tuple[str, str]], pid: int) -> int:
    """Return the program's exit code when the keeper has gone, and reap the keeper."""
    word, code = await hear
    await asyncio.to_thread(keeper.wait)
    if word == "exit":
        return int(code)
    # The keeper was killed. The kernel kills the program; what is left of its group goes too.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    return -signal.SIGKILL


async def spawn(
    spec: ChildSpec, *, pipes: bool = True, line_limit_bytes: int = LINE_LIMIT_BYTES
) -> Child:
    """Start a program; return when it runs. Raises ChildFailed.

    `pipes` connects stdin and stdout to us; without them stdin is /dev/null, and stdout goes to the
    log as stderr always does. Call it on a thread that lasts: the keeper ends with the thread that
    made it, as with the process.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        keeper = _run_keeper(theirs.fileno(), pipes=pipes)
    with contextlib.ExitStack() as undo:
        undo.callback(_abandon, keeper)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                control = Control(ours, *await asyncio.open_unix_connection(sock=ours))
                undo.callback(control.writer.close)
                pid = await control.started(spec)
                streams = await _connect(spec.name, keeper, line_limit_bytes)
        except TimeoutError as error:
            raise ChildFailed(f"{spec.name} was not started in {START_TIMEOUT_S} s") from error
        undo.pop_all()
    return Child(spec.name, pid, keeper, control, streams)


def _run_keeper(control_fd: int, *, pipes: bool) -> Keeper:
    return subprocess.Popen(  # noqa: S603  # our own interpreter and file
        [sys.executable, "-I", "-S", str(KEEPER), str(control_fd)],
        stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if pipes else subprocess.STDOUT,
        bufsize=0,
        env={},
        cwd="/",
        pass_fds=(control_fd,),
        start_new_session=True,
    )


def _abandon(keeper: Keeper) -> None:
    """Undo a spawn that failed; a program that runs already dies with its keeper."""
    keeper.kill()
    keeper.wait()
    for stream in (keeper.stdin, keeper.stdout, keeper.stderr):
        if stream is not None:
            stream.close()


async def _connect(name: str, keeper: Keeper, line_limit_bytes: int) -> Pipes:
    """Put asyncio streams on the pipes."""
    stdin = stdout = None
    with contextlib.ExitStack() as unless_connected:
        words, transport = await _reading(keeper.stderr or keeper.stdout, line_limit_bytes)
        unless_connected.callback(transport.close)
        transports = [transport]
        if keeper.stdin is not None:
            stdout, transport = await _reading(keeper.stdout, line_limit_bytes)
            unless_connected.callback(transport.close)
            stdin = await _writing(keeper.stdin)
            transports += [transport, stdin.transport]
        unless_connected.pop_all()
    log = StderrLog(name)
    following = asyncio.create_task(log.follow(words))
    return Pipes(stdin, stdout, tuple(transports), log, following)


async def _reading(
    pipe: IO[bytes] | None, limit_bytes: int
) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    reader = asyncio.StreamReader(limit=limit_bytes)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    return reader, transport


async def _writing(pipe: IO[bytes]) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    transport, _ = await loop.connect_write_pipe(lambda: protocol, pipe)
    return asyncio.StreamWriter(transport, protocol, None, loop)
