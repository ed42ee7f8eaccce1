"""Every engine: in front of a real OPA, of something else in its place, or as a module of ours."""

import asyncio
import json
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import pytest

from proxy.app.wasm import wasm_engine
from proxy.errors import PolicyUnavailable
from proxy.pdp.base import DECISION_PATH, PolicyEngine, StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.pdp.managed_opa import ManagedOpa, Watch
from proxy.pdp.opa import RemoteOpa
from proxy.process.child import Child, ChildSpec, spawn
from tests.harness.endless import ENDLESS

DEADLINE_S = 0.5
PATIENCE_S = 10.0
MARGIN_S = 0.4
FAKE = Path(__file__).with_name("fake_opa.py")

POLICY = (
    """package detent.main

decision := {"verdict": input.ask} if input.ask in {"allow", "deny"}

decision := "at last" if {
	input.ask == "slow"
	endless
}

decision := numbers.range(1, 20000) if input.ask == "huge"

decision := 1 % input.zero if input.ask == "error"

visible := ["repo/git_log"]
"""
    + ENDLESS
)


class Served:
    """An engine, and what stands behind it."""

    engine: PolicyEngine

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def pid(self) -> int:
        """The process that evaluates."""
        raise NotImplementedError

    async def serve(self, staged: StagedBundle) -> None:
        """Have OPA serve a bundle, where that is not the engine's own work."""

    async def revive(self) -> None:
        """Bring OPA back, where that is not the engine's own work."""

    async def close(self) -> None:
        """Leave nothing running."""
        await self.engine.stop()

    def bundle(self, revision: str, policy: str = POLICY) -> StagedBundle:
        """Write a bundle whose manifest carries the revision."""
        directory = self.directory / revision
        directory.mkdir()
        (directory / "main.rego").write_text(policy)
        manifest = {"revision": revision, "roots": ["detent"], "rego_version": 1}
        (directory / ".manifest").write_text(json.dumps(manifest))
        return StagedBundle(directory, revision)

    async def ask(
        self, what: str, path: str = DECISION_PATH, deadline_s: float = PATIENCE_S
    ) -> object:
        """Ask and return the result."""
        body = json.dumps({"input": {"ask": what, "zero": 0}}).encode()
        return (await self.engine.query(path, body, deadline_s)).result

    async def refusal(self, what: str = "allow") -> str:
        """Ask, and return why there is no answer; it must not take longer than the deadline."""
        started = time.monotonic()
        with pytest.raises(PolicyUnavailable) as refusal:
            await self.ask(what, deadline_s=DEADLINE_S)
        assert time.monotonic() - started < DEADLINE_S + MARGIN_S
        return str(refusal.value)

    async def answer_again(self) -> object:
        """Ask until there is an answer."""
        async with asyncio.timeout(20):
            while True:
                with suppress(PolicyUnavailable):
                    return await self.ask("allow", deadline_s=DEADLINE_S)
                await asyncio.sleep(0.02)

    async def hit(self, number: signal.Signals) -> None:
        """Kill or freeze OPA; return when it is."""
        status = Path(f"/proc/{self.pid}/status")
        os.kill(self.pid, number)
        async with asyncio.timeout(5):
            with suppress(FileNotFoundError, ProcessLookupError):
                while not {"T", "Z"} & set(status.read_text().partition("State:")[2][:3]):
                    await asyncio.sleep(0.005)


class Managed(Served):
    """The engine that runs OPA itself."""

    def __init__(self, directory: Path, opa: Path) -> None:
        super().__init__(directory)
        watch = Watch(interval_s=0.1, deadline_s=0.2, backoff_s=0.01)
        self.engine = self._engine = ManagedOpa(opa, watch=watch)

    @property
    def pid(self) -> int:
        assert self._engine._opa is not None
        return self._engine._opa.child.pid


class Remote(Served):
    """The engine that asks an OPA which others run: here, we."""

    def __init__(self, directory: Path, opa: Path) -> None:
        super().__init__(directory)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self._opa = opa
        self._child: Child | None = None
        self._staged: StagedBundle | None = None
        self.engine = RemoteOpa("127.0.0.1", self._port, tls=False, token="t0ken")

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    async def serve(self, staged: StagedBundle) -> None:
        self._staged = staged
        await self.revive()

    async def revive(self) -> None:
        assert self._staged is not None
        await self._end()
        address = f"--addr=127.0.0.1:{self._port}"
        options = ("run", "--server", address, "--log-level=error", "--skip-version-check")
        command = (str(self._opa), *options, "--bundle", str(self._staged.directory))
        self._child = await spawn(ChildSpec("remote-opa", command), pipes=False)
        async with asyncio.timeout(10), aiohttp.ClientSession() as session:
            while True:
                with suppress(aiohttp.ClientConnectionError):
                    async with session.get(f"http://127.0.0.1:{self._port}/health"):
                        return
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        await self.engine.stop()
        await self._end()

    async def _end(self) -> None:
        if self._child is not None:
            await self._child.stop(0)


class Wasm(Served):
    """The engine that evaluates by itself; nothing stands behind it."""

    def __init__(self, directory: Path, opa: Path) -> None:
        super().__init__(directory)
        self.engine = wasm_engine(opa)


NO_RUNTIME = pytest.mark.skipif(find_spec("wasmtime") is None, reason="wasmtime is not installed")
WITH_OPA = [Managed, Remote]
EVERY = [*WITH_OPA, pytest.param(Wasm, marks=NO_RUNTIME)]


@pytest.fixture(params=EVERY)
async def unstarted(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    """Give an engine that is still to be started."""
    served: Served = request.param(tmp_path, find_opa().path)
    yield served
    await served.close()


@pytest.fixture
async def served(unstarted: Served) -> Served:
    """Give an engine that serves POLICY as revision `first`."""
    return await first(unstarted)


@pytest.fixture(params=WITH_OPA)
async def with_opa(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    """Give an engine with a process of OPA's that serves POLICY as revision `first`."""
    served: Served = request.param(tmp_path, find_opa().path)
    yield await first(served)
    await served.close()


async def first(served: Served) -> Served:
    """Serve POLICY as revision `first`."""
    staged = served.bundle("first")
    await served.serve(staged)
    await served.engine.start(staged)
    return served


@pytest.fixture(params=WITH_OPA)
async def faked(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    """Give an unstarted engine whose OPA answers with the bytes in `tmp_path / "answer"`."""
    command = tmp_path / "fake"
    answer = tmp_path / "answer"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {FAKE} {answer} "$@"\n')
    command.chmod(stat.S_IRWXU)
    served: Served = request.param(tmp_path, command)
    yield served
    await served.close()
