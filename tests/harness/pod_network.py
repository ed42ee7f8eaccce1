"""The network of a pod with a neighbour, to try an egress rule in.

`unshare --net python -m tests.harness.pod_network RULES` loads the rules the way the init container
does and prints, as JSON, what which uid reaches. It needs root, nft, and ip of iproute2.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.harness.world import ROOT

POD, NEIGHBOUR = "203.0.113.1", "203.0.113.9"
POD_V6, NEIGHBOUR_V6 = "2001:db8::1", "2001:db8::9"
PORT, OTHER_PORT = 8443, 9443
AGENT, DETENT, NODE = 10001, 65532, 0
AGENTS_PORT, OPERATORS_PORT, HEALTH_PORT, AGENT_SERVER = 8787, 8788, 8790, 9999
TIMEOUT_S = 3.0


def why_not() -> str:
    """Say why this machine cannot try it; empty when it can."""
    missing = [name for name in ("unshare", "nsenter", "ip", "nft") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "other uids can be taken by root only"


def try_rules(rules: Path) -> dict[str, bool]:
    """Run this module in a network of its own; return what could be reached."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-m", "tests.harness.pod_network", str(rules)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def as_uid(uid: int, attempt: Callable[[], object]) -> bool:
    """Try something as another user; return whether it was done."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            attempt()
            code = 0
        except OSError:
            pass
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def connect(address: str, port: int) -> None:
    # Nothing is imported any more: the interpreter's files may be closed to other users.
    with socket.socket(family_of(address)) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect((address, port))


def send(address: str) -> None:
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as datagram:
        datagram.sendto(b"secret", (address, 53))


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def flush() -> None:
    done = subprocess.run(["nft", "flush", "ruleset"], capture_output=True, check=False)
    if done.returncode:
        raise PermissionError


def listen(*ports: int) -> list[socket.socket]:
    """Listen on these ports under every address of this network."""
    return [
        socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        for port in ports
    ]


def ip(*arguments: str, inside: str = "") -> None:
    enter = ["nsenter", f"--target={inside}", "--net"] if inside else []
    subprocess.run([*enter, "ip", *arguments], check=True)


def wire(neighbour: str) -> None:
    """Connect this network to that of the process `neighbour`."""
    ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", neighbour)
    ends = ((POD, POD_V6, ""), (NEIGHBOUR, NEIGHBOUR_V6, neighbour))
    for v4, v6, inside in ends:
        ip("address", "add", f"{v4}/24", "dev", "eth0", inside=inside)
        ip("address", "add", f"{v6}/64", "dev", "eth0", "nodad", inside=inside)
        for link in ("lo", "eth0"):
            ip("link", "set", link, "up", inside=inside)


def from_neighbour(neighbour: str, port: int) -> bool:
    """Whether the neighbour reaches that port of the pod."""
    code = f"import socket; socket.create_connection(({POD!r}, {port}), {TIMEOUT_S})"
    command = ["nsenter", f"--target={neighbour}", "--net", sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main(rules: str) -> None:
    """Try everything and print it."""
    served = "from tests.harness.pod_network import *; kept = listen(PORT, OTHER_PORT); "
    told = f"{served}print(flush=True); time.sleep(60)"
    other = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", told], stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        assert other.stdout is not None
        other.stdout.readline()
        neighbour = str(other.pid)
        wire(neighbour)
        subprocess.run(["nft", "--file", rules], check=True)
        subprocess.run(["nft", "--file", rules], check=True)  # a second start of the container
        kept = listen(AGENTS_PORT, OPERATORS_PORT, HEALTH_PORT, AGENT_SERVER)
        time.sleep(0.2)
        sys.stdout.write(json.dumps(attempts(neighbour)))
        del kept
    finally:
        other.kill()
        other.wait()


def attempts(neighbour: str) -> dict[str, bool]:
    """Return what could be done, by who and what."""
    tried: dict[str, bool] = {}
    for name, uid in (("agent", AGENT), ("detent", DETENT)):
        tried[f"{name} leaves"] = as_uid(uid, lambda: connect(NEIGHBOUR, PORT))
        tried[f"{name} leaves elsewhere"] = as_uid(uid, lambda: connect(NEIGHBOUR, OTHER_PORT))
        tried[f"{name} leaves over IPv6"] = as_uid(uid, lambda: connect(NEIGHBOUR_V6, PORT))
        tried[f"{name} asks for names"] = as_uid(uid, lambda: send(NEIGHBOUR))
        tried[f"{name} asks for names over IPv6"] = as_uid(uid, lambda: send(NEIGHBOUR_V6))
        tried[f"{name} calls"] = as_uid(uid, lambda: connect("127.0.0.1", AGENTS_PORT))
        tried[f"{name} operates"] = as_uid(uid, lambda: connect("127.0.0.1", OPERATORS_PORT))
        tried[f"{name} operates by address"] = as_uid(uid, lambda: connect(POD, OPERATORS_PORT))
        tried[f"{name} lifts the rule"] = as_uid(uid, flush)
    tried["node forwards to operators"] = as_uid(NODE, lambda: connect("::1", OPERATORS_PORT))
    tried["a probe comes in"] = from_neighbour(neighbour, HEALTH_PORT)
    tried["a stranger comes in"] = from_neighbour(neighbour, AGENT_SERVER)
    tried["node lifts the rule"] = as_uid(NODE, flush)
    return tried


if __name__ == "__main__":
    main(sys.argv[1])
