"""What every kind of upstream promises, proved on real servers in processes of their own."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
import rfc8785

from proxy.egress.addresses import AddressPolicy
from proxy.egress.client import EgressClient
from proxy.errors import OutcomeUnknown, Refused, UpstreamFailed
from proxy.model.mcp import Era
from proxy.model.tool import Effect, HttpBinding, ToolManifest
from proxy.process.child import Child, ChildSpec, spawn
from proxy.upstream.base import Upstream, UpstreamCall
from proxy.upstream.http import HttpUpstream
from proxy.upstream.mcp_http import McpHttp
from proxy.upstream.mcp_stdio import McpStdio, Patience

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOL = Path(__file__).with_name("tool.py")
SCHEMA = b'{"type":"object","properties":{"text":{"type":"string"},"number":{"type":"number"}}}'
KINDS = ("http", "mcp-http-handshake", "mcp-http-stateless", "stdio-handshake", "stdio-stateless")


@dataclass
class Tool:
    """An upstream, the log of what reached its server, and the server's process (None: its own)."""

    upstream: Upstream
    log: Path
    port: int = 0
    server: Child | None = None

    def seen(self, text: str) -> list[str]:
        """Return what reached the server under that text."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.partition(" ")[2] for line in lines if line.partition(" ")[0] == text]

    async def until(self, text: str, *what: str) -> None:
        """Wait until exactly this has reached the server."""
        await eventually(lambda: _true(self.seen(text) == list(what)))

    async def serve(self) -> None:
        """Start the server of the HTTP kinds; wait until any kind answers."""
        if self.port:
            command = (sys.executable, str(TOOL), str(self.log), str(self.port))
            self.server = await spawn(ChildSpec("tool", command), pipes=False)
        await eventually(self.answers)

    async def answers(self) -> bool:
        """Whether a call goes through."""
        try:
            await self.upstream.call(call("echo", "ready"), nothing)
        except (UpstreamFailed, OutcomeUnknown):
            return False
        return True

    async def stop(self) -> None:
        """Leave nothing behind."""
        await self.upstream.stop()
        if self.server is not None:
            await self.server.stop()


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.05)


async def _true(value: bool) -> bool:
    return value


def nothing() -> None:
    """Nothing stands against a call."""


def refuse() -> None:
    raise Refused.because("killed")


def manifest(tool: str) -> ToolManifest:
    binding = HttpBinding("POST", f"/{tool}", body=("text", "number"), input_schema=SCHEMA)
    return ToolManifest("tool", tool, Effect.WRITE, http=binding)


def call(tool: str, text: str, timeout_s: float = 10) -> UpstreamCall:
    return UpstreamCall(manifest(tool), rfc8785.dumps({"text": text}), timeout_s)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make(kind: str, log: Path, port: int, command: tuple[str, ...] = ()) -> Upstream:
    """Return an upstream of that kind, of a server that may not be there yet."""
    eras = (Era.STATELESS,) if kind.endswith("stateless") else (Era.HANDSHAKE,)
    if kind.startswith("stdio"):
        spec = ChildSpec("tool", command or (sys.executable, str(TOOL), str(log)))
        return McpStdio(spec, eras=eras, patience=Patience(stop_grace_s=1))
    path = "/mcp" if kind.startswith("mcp") else ""
    client = EgressClient(f"http://127.0.0.1:{port}{path}", AddressPolicy(allow_private=True))
    if kind == "http":
        tools = tuple(manifest(name) for name in ("echo", "wait", "die", "fail"))
        return HttpUpstream("tool", client, lambda: tools)
    return McpHttp("tool", client, eras=eras)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def tool(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tool]:
    """Give one running server of each kind."""
    log = tmp_path_factory.mktemp("tool") / "log"
    port = 0 if request.param.startswith("stdio") else free_port()
    running = Tool(make(request.param, log, port), log, port)
    if not port:
        await running.upstream.start()
    await running.serve()
    yield running
    await running.stop()


async def test_a_call_is_sent_once(tool: Tool) -> None:
    """The tool sees one call, and its answer comes back."""
    asked: list[int] = []
    result = await tool.upstream.call(call("echo", "once"), lambda: asked.append(1))
    assert b"once" in result.result
    assert not result.is_error
    assert (tool.seen("once"), asked) == (["echo:0.0"], [1])


async def test_what_sending_raises_ends_the_call(tool: Tool) -> None:
    """The refusal passes as it is, the tool sees nothing, and the next call goes through."""
    with pytest.raises(Refused):
        await tool.upstream.call(call("echo", "refused"), refuse)
    await tool.upstream.call(call("echo", "after"), nothing)
    assert (tool.seen("refused"), len(tool.seen("after"))) == ([], 1)


async def test_a_late_answer_is_an_unknown_outcome(tool: Tool) -> None:
    """The tool began, nobody knows how it ends, and it is told."""
    with pytest.raises(OutcomeUnknown, match="in time"):
        await tool.upstream.call(call("wait", "late", timeout_s=0.5), nothing)
    await tool.until("late", "began", "told")


async def test_a_cancelled_call_is_told(tool: Tool) -> None:
    """Cancelling raises through, and the tool stops what it does."""
    task = asyncio.create_task(tool.upstream.call(call("wait", "cut"), nothing))
    await tool.until("cut", "began")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await tool.until("cut", "began", "told")


async def test_a_failure_the_tool_reports_is_a_result(tool: Tool) -> None:
    """The tool's own error comes back as one, to be read."""
    assert (await tool.upstream.call(call("fail", "broken"), nothing)).is_error
    assert tool.seen("broken") == ["failed"]


async def test_many_calls_each_get_their_own_answer(tool: Tool) -> None:
    """Fifty at once do not get mixed up (A32)."""
    texts = [f"many{number}" for number in range(50)]
    results = await asyncio.gather(
        *(tool.upstream.call(call("echo", text), nothing) for text in texts)
    )
    for text, result in zip(texts, results, strict=True):
        assert json.dumps(text).encode() in result.result
        assert tool.seen(text) == ["echo:0.0"]


async def test_pins_are_the_same_after_a_restart(tool: Tool) -> None:
    """A server that dies in a call leaves it unknown, once; the one after it has the same pins."""
    before = await tool.upstream.definitions()
    with pytest.raises(OutcomeUnknown):
        await tool.upstream.call(call("die", "dead"), nothing)
    assert tool.seen("dead") == ["died"]
    if tool.server is not None:
        await tool.server.stop()
    await tool.serve()
    assert {one.name for one in before} == {"echo", "wait", "die", "fail"}
    assert await tool.upstream.definitions() == before


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_is_not_there_failed(kind: str, tmp_path: Path) -> None:
    """Nothing is sent, and nobody is asked whether it may be."""
    upstream = make(kind, tmp_path / "log", free_port(), ("/nowhere/tool",))
    if kind != "http":
        with pytest.raises(UpstreamFailed):
            await upstream.start()
    with pytest.raises(UpstreamFailed):
        await upstream.call(call("echo", "nobody"), never)
    await upstream.stop()


def never() -> None:
    raise AssertionError("sending was called")


async def test_pins_are_the_same_over_stdio_and_in_both_eras(
    tmp_path: Path,
) -> None:
    """A real server's definitions do not depend on how they are asked for."""
    pins = []
    for era in Era:
        command = (str(Path(sys.executable).with_name("mcp-server-git")),)
        upstream = McpStdio(ChildSpec("git", command, cwd=tmp_path), eras=(era,))
        try:
            await upstream.start()
            pins.append([(one.name, one.pin) for one in await upstream.definitions()])
        finally:
            await upstream.stop()
    assert pins[0] == pins[1]
    assert len(pins[0]) > 5


async def test_arguments_arrive_as_they_were_decided_on(tool: Tool) -> None:
    """Numbers, escapes and other scripts are what the tool reads."""
    text = '\u00e9\u4e16"\\\u2028😀'
    arguments = rfc8785.dumps({"number": 0.1, "text": text})
    await tool.upstream.call(replace(call("echo", ""), arguments=arguments), nothing)
    assert f"{text} echo:0.1\n" in tool.log.read_text()
