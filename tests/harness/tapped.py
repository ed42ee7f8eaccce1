"""A server over stdio whose every line from its client is kept: what reached it, and what did not.

Usage: tapped.py LOG COMMAND… as a program; `tapped` and `heard` for tests.
"""

import json
import subprocess
import sys
from pathlib import Path


def tapped(log: Path, command: list[str]) -> list[str]:
    """Return a command that runs that command and keeps its input in LOG."""
    return [sys.executable, __file__, str(log), *command]


def heard(log: Path) -> list[str]:
    """Return what reached the server: methods, and the names of tools that were called."""
    lines = log.read_bytes().splitlines() if log.exists() else []
    messages = [json.loads(line) for line in lines if line.strip()]
    return [_name(message) for message in messages if "method" in message]


def _name(message: dict[str, object]) -> str:
    params = message.get("params")
    called = isinstance(params, dict) and message["method"] == "tools/call"
    return str(params["name"] if called and isinstance(params, dict) else message["method"])


def main(log: Path, command: list[str]) -> int:
    """Pass our input on to the command, line by line, until either ends."""
    with log.open("ab", buffering=0) as kept:
        child = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)
        assert child.stdin is not None
        try:
            for line in iter(sys.stdin.buffer.readline, b""):
                kept.write(line)
                child.stdin.write(line)
            child.stdin.close()
        except BrokenPipeError:
            pass
        return child.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
