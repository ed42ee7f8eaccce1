"""A network of our own: a child in new user, network and mount namespaces of Linux.

There loopback has public addresses as well, and names are asked of a server on 127.0.0.1:53. So
rebinding is tried with the real resolver on real sockets, and no packet leaves the machine.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from tests.harness.world import ROOT

PUBLIC, PUBLIC_V6 = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"
PRIVATE, METADATA = "10.1.2.3", "169.254.169.254"
ADDRESSES = (PUBLIC, PUBLIC_V6, PRIVATE, METADATA, "100.64.0.1", "fd00:ec2::254", "fe80::1")
RESOLVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"

_SET_ADDRESS, _SET_FLAGS, _UP_AND_RUNNING = 0x8916, 0x8914, 0x41
_IN = "TESTS_IN_OWN_NETWORK"
_NOT_OURS = "mount --bind {0} /etc/resolv.conf && exec {1}"


def is_inside() -> bool:
    """Whether this process lives in such a network."""
    return _IN in os.environ


def why_not() -> str:
    """Say why this machine has no such network; empty when it has."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return "unshare and mount of util-linux are needed"
    tried = subprocess.run(
        ["unshare", "-Urnm", "mount", "--bind", "/etc/hostname", "/etc/resolv.conf"],
        capture_output=True,
        check=False,
    )
    return "user namespaces are not permitted here" if tried.returncode else ""


def run_inside(file: Path, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a file of tests in a network of its own; `directory` takes the resolver's settings."""
    settings = directory / "resolv.conf"
    settings.write_text(RESOLVER)
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file), *options]
    quoted = " ".join(f"'{part}'" for part in pytest)
    return subprocess.run(
        ["unshare", "-Urnm", "sh", "-c", _NOT_OURS.format(settings, quoted)],
        cwd=ROOT,
        env={**os.environ, _IN: "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def give_addresses(addresses: Iterable[str]) -> None:
    """Give loopback these addresses beside its own and bring it up (netdevice(7))."""
    index = socket.if_nametoindex("lo")
    v4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with v4, v6:
        fcntl.ioctl(v4, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP_AND_RUNNING))
        for number, address in enumerate(addresses, 1):
            packed = ip_address(address).packed
            if len(packed) == 4:
                place = struct.pack("HH4s8x", socket.AF_INET, 0, packed)
                fcntl.ioctl(v4, _SET_ADDRESS, struct.pack("16s16s", b"lo:%d" % number, place))
            else:
                fcntl.ioctl(v6, _SET_ADDRESS, struct.pack("16sIi", packed, 128, index))
