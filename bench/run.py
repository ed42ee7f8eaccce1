"""`make bench`: what Detent adds to a call, in one run: direct, without and with the evaluator.

Load and tool run on one core, the gateway (and OPA) on the other. Times move with the machine:
compare the rows of one run, not of two. Prints a table and writes it to bench/results.md.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.load import closed_loop, open_loop, quantile
from bench.tool import serve
from tests.harness.gateway import ECHO_SCHEMA, Gateway, World, http_tool
from tests.harness.processes import children_of

RATE, CLIENTS = 100.0, 4
PAYLOAD = {"text": "y" * 900, "n": 1}
RESULTS = Path(__file__).with_name("results.md")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """One row. Latencies in milliseconds, CPU in microseconds a call."""

    name: str
    p50: float
    p99: float
    calls_per_s: float
    gateway_cpu: float = 0.0
    opa_cpu: float = 0.0


def cpu_s(pid: int) -> float:
    """Return the CPU time of one process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def opa_cpu_s(pid: int) -> float:
    """Return the CPU time of a gateway's children, in seconds."""
    return sum(cpu_s(child) for child in children_of(pid))


async def direct(url: str, seconds: float) -> Measured:
    """Measure the tool itself."""
    async with aiohttp.ClientSession() as http:

        async def request() -> None:
            async with http.post(url + "/write", json=PAYLOAD) as answer:
                await answer.read()

        latencies = await open_loop(request, RATE, seconds)
        rate = await closed_loop(request, CLIENTS, seconds / 2)
    return Measured("direct", quantile(latencies, 0.5), quantile(latencies, 0.99), rate)


async def through(name: str, url: str, seconds: float, program: tuple[str, ...]) -> Measured:
    """Measure the same calls through a gateway on the other core."""
    with tempfile.TemporaryDirectory() as directory:
        world = World(Path(directory), url, program=program)
        world.tools = {
            "rec": {
                "write": http_tool(
                    "POST", "/write", "write", body=["text", "n", "data"], input_schema=ECHO_SCHEMA
                )
            }
        }
        limits = {"session_risk": 10**6, "agent_risk": 10**6, "window_s": 3600}
        world.budgets = {"default": limits}
        os.sched_setaffinity(0, {1})
        async with Gateway(world) as gateway:
            os.sched_setaffinity(0, {0})
            return await measure(name, gateway, seconds)


async def measure(name: str, gateway: Gateway, seconds: float) -> Measured:
    """Load one gateway; CPU is counted over the open loop only."""
    body = json.dumps({"server": "rec", "tool": "write", "arguments": PAYLOAD}).encode()
    headers = {
        "Authorization": f"Bearer {gateway.world.agent_token}",
        "Content-Type": "application/json",
    }
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as http:

        async def request() -> None:
            async with http.post(gateway.agents + "/v1/calls", data=body) as answer:
                if answer.status != 200:
                    raise RuntimeError(await answer.text())
                await answer.read()

        await closed_loop(request, CLIENTS, 1.0)
        ours, opas = cpu_s(gateway.pid), opa_cpu_s(gateway.pid)
        latencies = await open_loop(request, RATE, seconds)
        count = len(latencies)
        ours, opas = cpu_s(gateway.pid) - ours, opa_cpu_s(gateway.pid) - opas
        rate = await closed_loop(request, CLIENTS, seconds / 2)
    return Measured(
        name,
        quantile(latencies, 0.5),
        quantile(latencies, 0.99),
        rate,
        1e6 * ours / count,
        1e6 * opas / count,
    )


def table(rows: list[Measured]) -> str:
    """Return the table in Markdown; added latency is against the first row."""
    base = rows[0]
    lines = [
        "| | p50 ms | p99 ms | added p50 | added p99 | gateway µs/call | OPA µs/call | calls/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.name} | {row.p50:.2f} | {row.p99:.2f} | {row.p50 - base.p50:.2f} "
        f"| {row.p99 - base.p99:.2f} | {row.gateway_cpu:.0f} | {row.opa_cpu:.0f} "
        f"| {row.calls_per_s:.0f} |"
        for row in rows
    ]
    return "\n".join(lines)


async def main(seconds: float, rounds: int) -> None:
    """Run every variant `rounds` times in turn and keep each one's median by p50."""
    os.sched_setaffinity(0, {0})
    server, url = await serve()
    variants: list[Callable[[], Awaitable[Measured]]] = [
        lambda: direct(url, seconds),
        lambda: through("Detent, no evaluator", url, seconds, ("bench.no_evaluator",)),
        lambda: through("Detent, OPA managed", url, seconds, ("proxy",)),
    ]
    rows = []
    for variant in variants:
        runs = sorted([await variant() for _ in range(rounds)], key=lambda row: row.p50)
        rows.append(runs[len(runs) // 2])
        print(f"{rows[-1].name}: p50 {rows[-1].p50:.2f} ms", flush=True)
    server.close()
    text = table(rows)
    print(text)
    RESULTS.write_text(
        f"Write calls of 1 KB each way at {RATE:.0f}/s, Poisson, {seconds:.0f} s, "
        f"median of {rounds}; the last column is {CLIENTS} clients in a closed loop.\n\n{text}\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(main(given.seconds, given.rounds))
