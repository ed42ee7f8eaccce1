"""The three ways to evaluate one bundle, side by side."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic_core import to_json

from proxy.errors import PolicyUnavailable
from proxy.pdp.base import DECISION_PATH, VISIBLE_PATH, PolicyEngine, StagedBundle
from proxy.pdp.decision import parse_decision, parse_visible
from proxy.pdp.find_opa import find_opa
from proxy.pdp.managed_opa import ManagedOpa, Watch
from proxy.pdp.opa import RemoteOpa
from proxy.pdp.wasm.engine import WasmOpa
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS
from proxy.process.child import Child, ChildSpec, spawn

DEADLINE_S = 20.0
NO_ANSWER = ("deny", ("policy-unavailable",), (), (), 0)


@dataclass
class Engines:
    """The engines by name, and the process of the OPA that each one asks, where there is one."""

    by_name: dict[str, PolicyEngine]
    processes: dict[str, int]

    async def outcomes(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return what each engine makes of one input."""
        body = to_json({"input": document})
        asked = (outcome(engine, body) for engine in self.by_name.values())
        return dict(zip(self.by_name, await asyncio.gather(*asked), strict=True))


async def outcome(engine: PolicyEngine, body: bytes) -> Any:
    """Return verdict, reason ids, obligations, labels and risk; of a list, the tools."""
    path = VISIBLE_PATH if b'"resources":' in body else DECISION_PATH
    try:
        answer = await engine.query(path, body, DEADLINE_S)
        if path == VISIBLE_PATH:
            return sorted(parse_visible(answer.result))
    except PolicyUnavailable:
        return NO_ANSWER
    decision = parse_decision(answer.result, "dec", answer.revision, KNOWN_OBLIGATIONS)
    return (
        decision.verdict.value,
        tuple(sorted(reason.id for reason in decision.reasons)),
        tuple(sorted(str(obligation) for obligation in decision.obligations)),
        decision.labels,
        decision.risk,
    )


@asynccontextmanager
async def engines(bundle: StagedBundle) -> AsyncIterator[Engines]:
    """Serve a bundle by all three."""
    opa = find_opa().path
    async with AsyncExitStack() as undo:
        child, port = await _serving(bundle)
        undo.push_async_callback(child.stop, 0)
        # On a busy machine an OPA is slow, and not lost.
        managed = ManagedOpa(opa, watch=Watch(deadline_s=DEADLINE_S))
        remote = RemoteOpa("127.0.0.1", port, tls=False)
        wasm = WasmOpa(opa)
        for engine in (managed, remote, wasm):
            undo.push_async_callback(engine.stop)
            await engine.start(bundle)
        assert managed._opa is not None
        yield Engines(
            {"managed": managed, "remote": remote, "wasm": wasm},
            {"managed": managed._opa.child.pid, "remote": child.pid},
        )


async def _serving(bundle: StagedBundle) -> tuple[Child, int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    options = ("run", "--server", f"--addr=127.0.0.1:{port}", "--log-level=error")
    command = (str(find_opa().path), *options, "--skip-version-check", "--bundle")
    child = await spawn(ChildSpec("remote-opa", (*command, str(bundle.directory))), pipes=False)
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with session.get(f"http://127.0.0.1:{port}/health"):
                    return child, port
            await asyncio.sleep(0.02)
