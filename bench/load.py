"""Load: open loop with Poisson arrivals timed from the scheduled send, and a closed loop."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

Request = Callable[[], Awaitable[None]]


async def open_loop(request: Request, rate: float, seconds: float, seed: int = 1) -> list[float]:
    """Send at `rate` a second whatever comes back; return latencies in seconds, sorted.

    A latency counts from when the request was due, so a stall is not hidden by the requests that
    waited for it.
    """
    chance, latencies = random.Random(seed), list[float]()
    began, due = time.perf_counter(), 0.0
    running: set[asyncio.Task[None]] = set()

    async def one(at: float) -> None:
        await request()
        latencies.append(time.perf_counter() - began - at)

    while due < seconds:
        due += chance.expovariate(rate)
        await asyncio.sleep(max(0.0, due - (time.perf_counter() - began)))
        task = asyncio.create_task(one(due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return sorted(latencies)


async def closed_loop(request: Request, clients: int, seconds: float) -> float:
    """Keep `clients` requests under way; return requests a second."""
    until, count = time.perf_counter() + seconds, 0

    async def client() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await request()
            count += 1

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return count / (time.perf_counter() - began)


def quantile(latencies: list[float], q: float) -> float:
    """Return a quantile of sorted latencies, in milliseconds."""
    return 1000 * latencies[min(len(latencies) - 1, int(q * len(latencies)))]
