"""`make bench`: what Detent adds to a call, in one run.

Two tools are called: a plain HTTP one through `/v1/calls`, an MCP one through `/mcp`. Each is
called directly, through a proxy of the same stack that only forwards, and through Detent without
and with the evaluator. Load and tool run on one core, what stands between them on the other.
Times move with the machine: compare the rows of one run, not of two. Prints a table and writes it
to bench/results.md.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.load import closed_loop, open_loop, quantile
from bench.tool import DEFINITION, ECHO_SCHEMA, VERSION, mcp, plain, serve
from proxy.upstream.definitions import definition_of
from tests.harness.gateway import Gateway
from tests.harness.processes import children_of
from tests.harness.world import World, http_tool

RATE, CLIENTS = 100.0, 4
PAYLOAD = {"text": "y" * 900, "n": 1}
RESULTS = Path(__file__).with_name("results.md")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Target:
    """Where calls are sent, as what, and which process stands in between (0: none)."""

    url: str
    body: bytes
    headers: dict[str, str]
    pid: int = 0


@dataclass(frozen=True)
class Measured:
    """One row. Latencies in milliseconds, CPU in microseconds a call."""

    name: str
    p50: float
    p99: float
    calls_per_s: float
    own_cpu: float = 0.0
    opa_cpu: float = 0.0


Way = AbstractAsyncContextManager[Target]


def cpu_s(pid: int) -> float:
    """Return the CPU time of one process, in seconds."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def children_cpu_s(pid: int) -> float:
    """Return the CPU time of a process's children, in seconds."""
    return sum(cpu_s(child) for child in children_of(pid)) if pid else 0.0


def json_body(value: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


MCP_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": VERSION,
    "Mcp-Method": "tools/call",
    "Mcp-Name": "write",
}
MCP_META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}
MCP_BODY = json_body(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "write", "arguments": PAYLOAD, "_meta": MCP_META},
    }
)
PLAIN_HEADERS = {"Content-Type": "application/json"}
CALL = json_body({"server": "rec", "tool": "write", "arguments": PAYLOAD})


@asynccontextmanager
async def direct(url: str, *, is_mcp: bool) -> AsyncIterator[Target]:
    """Call the tool itself."""
    headers = MCP_HEADERS if is_mcp else PLAIN_HEADERS
    yield Target(url, MCP_BODY if is_mcp else json_body(PAYLOAD), headers)


@asynccontextmanager
async def forwarded(url: str, *, is_mcp: bool) -> AsyncIterator[Target]:
    """Call it through the proxy that only forwards."""
    os.sched_setaffinity(0, {1})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.pass_through", url, stdout=asyncio.subprocess.PIPE
    )
    os.sched_setaffinity(0, {0})
    try:
        assert process.stdout is not None
        own = (await process.stdout.readline()).decode().strip()
        async with direct(own, is_mcp=is_mcp) as target:
            yield Target(own + "/write", target.body, target.headers, process.pid)
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def guarded(url: str, program: str, *, is_mcp: bool) -> AsyncIterator[Target]:
    """Call it through a gateway."""
    with tempfile.TemporaryDirectory() as directory:
        world = _world(Path(directory), url, program, is_mcp=is_mcp)
        os.sched_setaffinity(0, {1})
        async with Gateway(world) as gateway:
            os.sched_setaffinity(0, {0})
            token = {"Authorization": f"Bearer {gateway.world.agent_token}"}
            if is_mcp:
                path, body, headers = "/mcp/rec", MCP_BODY, MCP_HEADERS
            else:
                path, body, headers = "/v1/calls", CALL, PLAIN_HEADERS
            yield Target(gateway.agents + path, body, headers | token, gateway.pid)


def _world(directory: Path, url: str, program: str, *, is_mcp: bool) -> World:
    world = World(directory, url, program=(program,))
    limits = {"session_risk": 10**6, "agent_risk": 10**6, "window_s": 3600}
    world.budgets = {"default": limits}
    tool = http_tool("POST", "/write", "write", body=list(PROPERTIES), input_schema=ECHO_SCHEMA)
    if is_mcp:
        tool = {key: tool[key] for key in ("effect", "recovery", "risk", "timeout", "returns")}
        tool["pin"] = definition_of(DEFINITION).pin
        world.servers = {"rec": {"mcp": {"url": url}, "allow_private": True}}
    world.tools = {"rec": {"write": tool}}
    return world


PROPERTIES: dict[str, Any] = ECHO_SCHEMA["properties"]  # type: ignore[assignment]  # a plain dict


async def measure(name: str, way: Way, seconds: float) -> Measured:
    """Load one target; CPU is counted over the open loop only."""
    async with way as target, aiohttp.ClientSession(headers=target.headers) as http:

        async def request() -> None:
            async with http.post(target.url, data=target.body) as answer:
                text = await answer.read()
                if answer.status != 200 or b'"error":' in text[:60]:
                    raise RuntimeError(text.decode())

        await closed_loop(request, CLIENTS, 1.0)
        own, opa = cpu_s(target.pid), children_cpu_s(target.pid)
        latencies = await open_loop(request, RATE, seconds)
        count = len(latencies)
        own, opa = cpu_s(target.pid) - own, children_cpu_s(target.pid) - opa
        rate = await closed_loop(request, CLIENTS, seconds / 2)
    return Measured(
        name,
        quantile(latencies, 0.5),
        quantile(latencies, 0.99),
        rate,
        1e6 * own / count,
        1e6 * opa / count,
    )


def table(rows: list[Measured]) -> str:
    """Return the table in Markdown.

    Added latency is against the first row; the ratio is that of added p50 to the second row's.
    CPU is in microseconds a call.
    """
    base, least = rows[:2]
    lines = [
        "| | p50 ms | p99 ms | added p50 | added p99 | ratio | own µs | OPA µs | calls/s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        added = row.p50 - base.p50
        ratio = added / (least.p50 - base.p50)
        lines.append(
            f"| {row.name} | {row.p50:.2f} | {row.p99:.2f} | {added:.2f} "
            f"| {row.p99 - base.p99:.2f} | {ratio:.1f} | {row.own_cpu:.0f} "
            f"| {row.opa_cpu:.0f} | {row.calls_per_s:.0f} |"
        )
    return "\n".join(lines)


async def compare(seconds: float, rounds: int, *, is_mcp: bool) -> str:
    """Run every way `rounds` times in turn, keep each one's median by p50; return the table."""
    server, url = await serve(mcp if is_mcp else plain)
    ways: dict[str, Callable[[], Way]] = {
        "direct": lambda: direct(url, is_mcp=is_mcp),
        "pass-through": lambda: forwarded(url, is_mcp=is_mcp),
        "Detent, no evaluator": lambda: guarded(url, "bench.no_evaluator", is_mcp=is_mcp),
        "Detent, OPA managed": lambda: guarded(url, "proxy", is_mcp=is_mcp),
    }
    found: dict[str, list[Measured]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(await measure(name, way(), seconds))
            print(f"{name}: p50 {found[name][-1].p50:.2f} ms", flush=True)
    server.close()
    return table([sorted(runs, key=lambda row: row.p50)[rounds // 2] for runs in found.values()])


async def main(seconds: float, rounds: int) -> None:
    """Measure both doors and write the tables down."""
    os.sched_setaffinity(0, {0})
    text = (
        f"Write calls of 1 KB each way at {RATE:.0f}/s, Poisson, {seconds:.0f} s, "
        f"median of {rounds}; the last column is {CLIENTS} clients in a closed loop.\n"
    )
    for name, is_mcp in (("/v1/calls, an HTTP tool", False), ("/mcp, an MCP tool", True)):
        found = await compare(seconds, rounds, is_mcp=is_mcp)
        text += f"\n{name}\n\n{found}\n"
        print(f"\n{name}\n\n{found}\n", flush=True)
    RESULTS.write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(main(given.seconds, given.rounds))
