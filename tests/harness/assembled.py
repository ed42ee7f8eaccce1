"""A gateway in this process, and looks into it, for tests of the composition root."""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from proxy.app.assemble import Assembled, assemble
from proxy.app.gateway import Gateway
from proxy.config import load_settings
from proxy.observability.masking import Masker
from proxy.pdp.find_opa import find_opa
from proxy.upstream.http import HttpUpstream
from tests.harness.processes import children_of, is_alive
from tests.harness.tiny_bundle import BROKEN_RULE, FAILING_SUITE, write
from tests.harness.world import World


def break_policy(world: World) -> None:
    write(world.bundle, {"main.rego": BROKEN_RULE})


def fail_suite(world: World) -> None:
    write(world.bundle, {"suites/reads.yaml": FAILING_SUITE})


def end_opa(world: World) -> None:
    """Have an OPA that checks bundles and does not serve."""
    opa = world.directory / "opa"
    opa.write_text(f'#!/bin/sh\nif [ "$1" = run ]; then exit 7; fi\nexec {find_opa().path} "$@"\n')
    opa.chmod(0o755)
    world.settings = {"policy": {"bundle": "policies", "opa": str(opa)}}


def stored_alerts(world: World) -> list[str]:
    """Return the kinds of all alerts in the ledger, delivered or not."""
    with closing(sqlite3.connect(world.database)) as ledger:
        return [kind for (kind,) in ledger.execute("SELECT kind FROM alerts ORDER BY seq")]


def series(gateway: Gateway, name: str) -> float:
    """Return one series of the scrape."""
    lines = gateway.parts.metrics.render().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"detent_{name} ")).split()[-1])


def copies(staging: Path) -> int:
    return len(list(staging.glob("detent-policy-*/*")))


def are_closed(gateway: Gateway) -> bool:
    """Whether the connections to servers and alert receivers are closed."""
    upstream = gateway.parts.registry.upstream("rec")
    assert isinstance(upstream, HttpUpstream)
    return gateway.parts.alert_http.is_closed and upstream._client._session.closed


def living_children() -> list[int]:
    return [pid for pid in children_of(os.getpid()) if is_alive(pid)]


def build(world: World) -> Assembled:
    return assemble(load_settings(world.write(), {}), {}, Masker())


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Gateway]:
    """Run a gateway until the block ends."""
    built = build(world)
    try:
        await built.gateway.start()
        yield built.gateway
    finally:
        await built.gateway.stop()
        built.cleanup()
