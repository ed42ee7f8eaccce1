"""Attack 85: an agent on the same host talks to OPA itself, to read, change or ask policy."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yarl

from proxy.pdp.base import DECISION_PATH, StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.pdp.managed_opa import ManagedOpa
from proxy.pdp.opa_process import OpaProcess

DENY = 'package detent.main\n\ndecision := "deny"\n'
ALLOW = 'package detent.main\n\ndecision := "allow"\n'
PARAMETERS = "?provenance=true&strict-builtin-errors=true"
PATCH = json.dumps([{"op": "add", "path": "/detent", "value": {"main": {"decision": "allow"}}}])

ATTEMPTS = [
    ("PUT", "/v1/policies/main.rego", ALLOW),
    ("PUT", "/v1/policies/agent", "package system.authz\n\nallow := true\n"),
    ("DELETE", "/v1/policies/main.rego", ""),
    ("GET", "/v1/policies", ""),
    ("GET", "/v1/data", ""),
    ("GET", "/v1/data/detent/main/decision", ""),
    ("GET", "/v1/data/system/authz/token_sha256", ""),
    ("PUT", "/v1/data/detent", "{}"),
    ("PATCH", "/v1/data", PATCH),
    ("DELETE", "/v1/data/detent", ""),
    ("POST", "/v1/data", "{}"),
    ("POST", "/v1/data/detent/main/decision", '{"input":{}}'),
    ("POST", "/v1/data/detent/main/decision/..%2f..%2f" + PARAMETERS, '{"input":{}}'),
    ("POST", "/v1/data/detent%2fmain%2fdecision" + PARAMETERS, '{"input":{}}'),
    ("POST", "/v0/data/detent/main/decision", "{}"),
    ("POST", "/", "{}"),
    ("POST", "/v1/query", '{"query":"data"}'),
    ("POST", "/v1/compile", '{"query":"data.detent"}'),
    ("GET", "/v1/config", ""),
    ("GET", "/v1/status", ""),
    ("GET", "/metrics", ""),
    ("GET", "/debug/pprof/", ""),
    ("GET", "/health?bundles", ""),
]

CONNECT = """
import os, pwd, socket, sys
if user := sys.argv[2]:
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
"""


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[ManagedOpa]:
    """Give an engine whose policy denies."""
    (tmp_path / "main.rego").write_text(DENY)
    manifest = {"revision": "r1", "roots": ["detent"], "rego_version": 1}
    (tmp_path / ".manifest").write_text(json.dumps(manifest))
    engine = ManagedOpa(find_opa().path)
    await engine.start(StagedBundle(tmp_path, "r1"))
    yield engine
    await engine.stop()


def running(engine: ManagedOpa) -> OpaProcess:
    """Return the OPA behind an engine."""
    assert engine._opa is not None
    return engine._opa


async def attempt(opa: OpaProcess, attempt: tuple[str, str, str], token: str | None) -> int:
    """Do what an agent of our own uid could do that found the socket; return the status."""
    method, path, body = attempt
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    connector = aiohttp.UnixConnector(str(opa.home / "opa.sock"))
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as session,
        session.request(method, yarl.URL(f"http://opa{path}", encoded=True), data=body) as response,
    ):
        return response.status


async def still_denies(engine: ManagedOpa) -> bool:
    """Whether the policy is the one that was loaded."""
    answer = await engine.query(DECISION_PATH, b'{"input":{}}', 5)
    return (answer.result, answer.revision) == ("deny", "r1")


@pytest.mark.parametrize("token", [None, "", "guess"], ids=repr)
async def test_a85_without_the_token_nothing_is_answered(
    engine: ManagedOpa, token: str | None
) -> None:
    """Our own uid, the right socket, no token: every request is refused, the policy unchanged."""
    decision = ("POST", f"/v1/data/{DECISION_PATH}{PARAMETERS}", '{"input":{}}')
    for one in [*ATTEMPTS, decision, ("GET", "/health", "")]:
        assert await attempt(running(engine), one, token) in {400, 401, 404}, one
    assert await still_denies(engine)


async def test_a85_even_with_the_token_policy_cannot_be_read_or_changed(
    engine: ManagedOpa,
) -> None:
    """What only the gateway's memory holds would still admit nothing but a decision."""
    opa = running(engine)
    token = opa._health.partition(b"Bearer ")[2].partition(b"\r")[0].decode()
    assert await attempt(opa, ("GET", "/health", ""), token) == 200
    for one in ATTEMPTS:
        assert await attempt(opa, one, token) in {400, 401, 404}, one
    assert await still_denies(engine)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
async def test_a85_another_uid_cannot_reach_the_socket(engine: ManagedOpa) -> None:
    """The directory lets nobody else in."""
    socket = str(running(engine).home / "opa.sock")
    for user, seen in (("nobody", "PermissionError"), ("", "connected")):
        said = subprocess.run(
            [sys.executable, "-I", "-S", "-c", CONNECT, socket, user],
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.strip() == seen


async def test_a85_nothing_listens_on_the_network(engine: ManagedOpa) -> None:
    """Containers of a pod share the network: OPA has no socket there, TCP or UDP."""
    process = Path(f"/proc/{running(engine).child.pid}")
    links = [os.readlink(link) for link in (process / "fd").iterdir()]  # noqa: PTH115  # a socket
    mine = {link.removeprefix("socket:[").removesuffix("]") for link in links if "socket:" in link}
    network = [
        line.split()[9]
        for kind in ("tcp", "tcp6", "udp", "udp6")
        for line in (process / "net" / kind).read_text().splitlines()[1:]
    ]
    unix = (process / "net" / "unix").read_text()
    assert mine
    assert not mine & set(network)
    assert all(inode in unix for inode in mine)
