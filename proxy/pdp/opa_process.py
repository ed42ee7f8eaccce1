"""One running OPA that nobody but this gateway can talk to.

It listens on a unix socket in a directory only we may enter, knows us by a token that is made at
each start and kept in memory, and admits decisions and health alone (authz.rego).
"""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from proxy.errors import PolicyInvalid, PolicyUnavailable
from proxy.pdp.answer import MAX_ANSWER_BYTES, OK, QUERY, OtherRevision, parse_answer
from proxy.pdp.base import DECISION_PATH, PATHS, QueryAnswer, StagedBundle
from proxy.pdp.connection import Connections, ExchangeFailed
from proxy.process.child import Child, ChildFailed, ChildSpec, spawn

AUTHZ = Path(__file__).with_name("authz.rego")
START_TIMEOUT_S = 10.0
START_ROUND_S = 0.02
STOP_GRACE_S = 1.0
MAX_SOCKET_PATH_BYTES = 107  # sun_path of unix(7), without its final zero

Query = Callable[[str, bytes, float], Awaitable[QueryAnswer]]


class OpaProcess:
    """An OPA with one bundle, for as long as it lives. Made by `start`."""

    def __init__(self, child: Child, home: Path, token: str, bundle: StagedBundle) -> None:
        self.child = child
        self.home = home
        self.bundle = bundle
        self._connections = Connections(_socket(home), MAX_ANSWER_BYTES)
        common = f" HTTP/1.1\r\nHost: opa\r\nAuthorization: Bearer {token}\r\n"
        asking = f"{common}Content-Type: application/json\r\nContent-Length: "
        self._heads = {path: f"POST /v1/data/{path}?{QUERY}{asking}".encode() for path in PATHS}
        self._health = f"GET /health{common}\r\n".encode()

    @classmethod
    async def start(cls, opa: Path, bundle: StagedBundle) -> "OpaProcess":
        """Start an OPA; return when it serves. Raises PolicyInvalid, PolicyUnavailable."""
        token = secrets.token_urlsafe(32)
        async with contextlib.AsyncExitStack() as undo:
            home = _private_home(token)
            undo.callback(shutil.rmtree, home, ignore_errors=True)
            try:
                child = await spawn(_spec(opa, home, bundle), pipes=False)
            except ChildFailed as error:
                raise PolicyUnavailable(str(error)) from error
            process = cls(child, home, token, bundle)
            undo.push_async_callback(process.stop)
            await process._ready()
            undo.pop_all()
        return process

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        """Evaluate one of the paths of the decision point. Raises PolicyUnavailable."""
        head = self._heads.get(path)
        if head is None:
            raise PolicyUnavailable(f"{path!r} is not a path of the decision point")
        try:
            async with asyncio.timeout(deadline_s):
                request = b"%b%d\r\n\r\n%b" % (head, len(body), body)
                response = await self._connections.exchange(request)
        except TimeoutError as error:
            raise PolicyUnavailable(f"OPA did not answer within {deadline_s} s") from error
        except ExchangeFailed as error:
            raise PolicyUnavailable(str(error)) from error
        return parse_answer(response.status, response.body, self.bundle.revision)

    async def is_healthy(self, deadline_s: float) -> bool:
        """Whether the server answers at all."""
        try:
            async with asyncio.timeout(deadline_s):
                return (await self._connections.exchange(self._health)).status == OK
        except (TimeoutError, ExchangeFailed):
            return False

    async def stop(self, drain_s: float = 0.0) -> None:
        """Let queries under way finish, at most `drain_s`; end the process, remove its files."""
        try:
            await self._connections.drained(drain_s)
        finally:
            self._connections.close()
            await self.child.stop(STOP_GRACE_S if drain_s else 0)
            shutil.rmtree(self.home, ignore_errors=True)

    async def _ready(self) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self.is_healthy(START_TIMEOUT_S):
                    if not self.child.running:
                        await self.child.stop()
                        raise PolicyInvalid(f"OPA refuses the bundle: {self.child.last_words}")
                    await asyncio.sleep(START_ROUND_S)
            await self.query(DECISION_PATH, b'{"input":{}}', START_TIMEOUT_S)
        except TimeoutError as error:
            raise PolicyUnavailable(f"OPA was not ready within {START_TIMEOUT_S} s") from error
        except OtherRevision as error:
            raise PolicyInvalid(str(error)) from error


def _socket(home: Path) -> Path:
    return home / "opa.sock"


def _private_home(token: str) -> Path:
    """Make a directory (0700) with the authorisation bundle. Raises PolicyUnavailable."""
    home = Path(tempfile.mkdtemp(prefix="detent-opa-"))
    if len(os.fsencode(_socket(home))) > MAX_SOCKET_PATH_BYTES:
        home.rmdir()
        raise PolicyUnavailable(f"{home.parent} is too long for a socket; set a shorter TMPDIR")
    authz = home / "authz"
    authz.mkdir()
    shutil.copyfile(AUTHZ, authz / AUTHZ.name)
    digest = hashlib.sha256(token.encode()).hexdigest()
    data = {"system": {"authz": {"token_sha256": digest}}}
    (authz / "data.json").write_text(json.dumps(data))
    (authz / ".manifest").write_text(json.dumps({"roots": ["system/authz"], "rego_version": 1}))
    return home


def _spec(opa: Path, home: Path, bundle: StagedBundle) -> ChildSpec:
    command = (
        str(opa),
        "run",
        "--server",
        f"--addr=unix://{_socket(home)}",
        "--unix-socket-perm=600",
        "--authentication=token",
        "--authorization=basic",
        "--optimize-store-for-read-speed",
        "--skip-version-check",
        "--log-level=error",
        f"--shutdown-grace-period={STOP_GRACE_S:.0f}",
        "--bundle",
        str(bundle.directory),
        str(home / "authz"),
    )
    return ChildSpec("opa", command, _environment(home), cwd=home, scratch=home)


def _environment(home: Path) -> dict[str, str]:
    """Leave a core to the gateway, and trade memory for time: a decision is mostly allocation."""
    processors = max(1, len(os.sched_getaffinity(0)) - 1)
    return {"HOME": str(home), "GOMAXPROCS": str(min(processors, 4)), "GOGC": "400"}
