"""Looking at real processes through /proc."""

import asyncio
from pathlib import Path


def children_of(pid: int) -> list[int]:
    """Return every living descendant of a process."""
    found: list[int] = []
    for child in _direct(pid):
        found += [child, *children_of(child)]
    return found


def _direct(pid: int) -> list[int]:
    listed: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            listed += [int(number) for number in task.read_text().split()]
        except OSError:
            continue
    return listed


def command_of(pid: int) -> str:
    """Return the command line of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def environment_of(pid: int) -> str:
    """Return the environment a process was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")


def memory_of(pid: int) -> int:
    """Return the most memory a process has held so far, in bytes (VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


async def until_gone(pids: list[int], within_s: float = 10) -> None:
    """Wait until none of these processes runs."""
    async with asyncio.timeout(within_s):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.02)


def opa_of(pid: int) -> int:
    """Return the OPA process of a gateway."""
    (found,) = (child for child in children_of(pid) if Path(_program(child)).name == "opa")
    return found


def _program(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except OSError:
        return ""
