"""`detent serve`: run the gateway until SIGTERM."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import click
import uvloop

from proxy.app.assemble import Assembled, assemble
from proxy.app.attached import AttachedPolicy, gateway_of
from proxy.app.delivered import begun, delivered_of, follow
from proxy.app.endless import endless
from proxy.app.gateway import Gateway
from proxy.app.secrets import Secrets
from proxy.cli.crew import Place, announce, enter_crew
from proxy.cli.options import config_option, settings_of
from proxy.config import Settings
from proxy.config.policy import is_archive
from proxy.errors import PolicyError
from proxy.observability.logs import configure
from proxy.observability.masking import Masker
from proxy.pdp.find_opa import find_opa
from proxy.process.worker import take_signals

FOLLOWING = "following the policy's source"
LEVELS = ("debug", "info", "warning", "error", "critical")


@click.command()
@config_option
@click.option("--attach", metavar="URL", help="Be the sidecar of the gateway at this attach port.")
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Processes that serve; PostgreSQL only."
)
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
def serve(config: Path, attach: str | None, workers: int | None, log_level: str) -> None:
    """Serve agents and operators until SIGTERM.

    SIGTERM drains; SIGUSR1 kills everything; SIGHUP reloads the policy. Attached to a gateway,
    ledger, policy and kill switch are the gateway's. Workers are whole gateways on the same ports.
    """
    settings = settings_of(config, attach, workers)
    if settings.workers == 1:
        uvloop.run(_serve(settings, log_level))
        return
    configure(log_level, sys.stderr, Masker())
    place = enter_crew(settings)
    if isinstance(place, int):
        sys.exit(place)
    uvloop.run(_serve(settings, log_level, place))


async def _serve(settings: Settings, log_level: str, place: Place | None = None) -> None:
    masker = Masker()
    configure(log_level, sys.stderr, masker, place.worker.number if place else None)
    if settings.attach.url:
        await _serve_attached(settings, masker)
    elif is_archive(settings.policy.bundle):
        await _serve_delivered(settings, masker, place)
    else:
        await _serve_assembled(assemble(settings, dict(os.environ), masker), place)


async def _serve_attached(settings: Settings, masker: Masker) -> None:
    """Serve under the gateway's policy, following it."""
    secrets = Secrets(settings, os.environ, lambda _place, value: masker.add(value))
    policy = AttachedPolicy(gateway_of(settings, secrets))
    async with contextlib.AsyncExitStack() as exits:
        exits.push_async_callback(policy.close)
        await policy.first()
        here = settings.policy.model_copy(update={"bundle": policy.directory})
        given = settings.model_copy(update={"policy": here})
        assembled = assemble(given, dict(os.environ), masker, lambda: policy.revision)
        gateway = assembled.gateway
        follow_gateway = partial(policy.follow, gateway.reload_policy)
        task = asyncio.create_task(endless(FOLLOWING, follow_gateway, gateway.live.tell))
        exits.callback(task.cancel)
        await _serve_assembled(assembled)


async def _serve_delivered(settings: Settings, masker: Masker, place: Place | None) -> None:
    """Serve under a signed policy, following it."""
    secrets = Secrets(settings, os.environ, lambda _place, value: masker.add(value))
    policy = delivered_of(settings, secrets, find_opa(settings.policy.opa).path)
    async with contextlib.AsyncExitStack() as exits:
        exits.push_async_callback(policy.close)
        await policy.first()
        here = settings.policy.model_copy(update={"bundle": policy.directory})
        given = settings.model_copy(update={"policy": here})
        assembled = await begun(
            policy,
            lambda: assemble(given, dict(os.environ), masker, lambda: policy.revision, policy),
        )
        gateway, every_s = assembled.gateway, settings.policy.pull.every
        look = partial(follow, gateway.live, every_s, gateway.started.wait)
        task = asyncio.create_task(endless(FOLLOWING, look, gateway.live.tell))
        exits.callback(task.cancel)
        await _serve_assembled(assembled, place)


async def _serve_assembled(assembled: Assembled, place: Place | None = None) -> None:
    try:
        await _run(assembled, place)
    finally:
        assembled.cleanup()


async def _run(built: Assembled, place: Place | None) -> None:
    gateway = built.gateway
    async with contextlib.AsyncExitStack() as exits:
        exits.push_async_callback(gateway.stop)
        servers = built.bind(place.listeners, place.worker.siblings) if place else built.bind()
        exits.callback(servers.close)
        signals = Signals(gateway)
        if place:
            place.worker.hear(signals.halt)
        take_signals()
        exits.push_async_callback(signals.finished)
        if not await signals.unless_stopped(gateway.start()):
            return
        signals.started.set()
        await servers.start()
        exits.push_async_callback(servers.stop)
        if place:
            place.worker.serves()
        else:
            announce(built.settings, servers.urls)
        await signals.stop.wait()
        servers.leave_covered()
        await gateway.drain(built.settings.drain)


class Signals:
    """What the signals of this process ask for.

    A halt or a reload that comes too early waits for the start, and is done before anything is
    served. SIGTERM and SIGINT give the start up.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.stop = asyncio.Event()
        self.started = asyncio.Event()
        self._gateway = gateway
        self._tasks: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._later, self._halt)
        loop.add_signal_handler(signal.SIGHUP, self._later, self._reload)

    async def unless_stopped(self, work: Coroutine[Any, Any, None]) -> bool:
        """Do the work or, when told to stop, give it up; return whether it is done."""
        working, stopping = asyncio.create_task(work), asyncio.create_task(self.stop.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in (working, stopping):
            task.cancel()
        await asyncio.wait((working,))
        if working.cancelled():
            return False
        working.result()
        return True

    async def finished(self) -> None:
        """Let end what signals have begun."""
        if not self.started.is_set():
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def halt(self, order_id: str) -> None:
        """Kill everything, under an order that all workers get."""
        self._later(partial(self._halt, order_id))

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._once_started(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _once_started(self, work: Callable[[], Awaitable[None]]) -> None:
        await self.started.wait()
        await work()

    async def _halt(self, order_id: str = "") -> None:
        await self._gateway.halt("signal", "SIGUSR1", order_id)

    async def _reload(self) -> None:
        with contextlib.suppress(PolicyError):  # told by an alert and in the log
            await self._gateway.reload_policy()
