"""`detent serve`: run the gateway until SIGTERM."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import click
import uvloop

from proxy.app.assemble import Assembled, assemble
from proxy.cli.options import config_option, settings_of
from proxy.config import Settings
from proxy.errors import PolicyError
from proxy.observability.logs import configure
from proxy.observability.masking import Masker


@click.command()
@config_option
@click.option("--log-level", default="info", show_default=True)
def serve(config: Path, log_level: str) -> None:
    """Serve agents and operators until SIGTERM.

    SIGTERM drains; SIGUSR1 kills everything; SIGHUP reloads the policy.
    """
    settings = settings_of(config)
    uvloop.run(_serve(settings, log_level))


async def _serve(settings: Settings, log_level: str) -> None:
    masker = Masker()
    configure(log_level, sys.stderr, masker)
    assembled = assemble(settings, dict(os.environ), masker)
    try:
        await _run(assembled)
    finally:
        assembled.cleanup()


async def _run(built: Assembled) -> None:
    servers = built.bind()
    await built.gateway.start()
    stop = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    def later(work: asyncio.Task[None]) -> None:
        tasks.add(work)
        work.add_done_callback(tasks.discard)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: later(loop.create_task(_halt(built))))
    loop.add_signal_handler(signal.SIGHUP, lambda: later(loop.create_task(_reload(built))))
    try:
        await servers.start()
        agents, operators = servers.addresses
        click.echo(f"agents on http://{agents}, operators on http://{operators}", err=True)
        sys.stderr.flush()
        await stop.wait()
        await built.gateway.drain(built.settings.drain)
        await servers.stop()
    finally:
        await built.gateway.stop()


async def _halt(built: Assembled) -> None:
    await built.gateway.halt("signal", "SIGUSR1")


async def _reload(built: Assembled) -> None:
    with contextlib.suppress(PolicyError):
        await built.gateway.reload_policy()
