"""`detent serve --workers N`: several gateways on the same ports, and their parent."""

from collections.abc import Sequence
from dataclasses import dataclass

import click

from proxy.app.gateway import SETTLE_S
from proxy.app.listeners import Listeners
from proxy.app.servers import CLOSE_S
from proxy.config import Settings
from proxy.process.worker import Worker
from proxy.process.workers import Crew, Workers

MARGIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker serves on, and which of them it is."""

    listeners: Listeners
    worker: Worker


def enter_crew(settings: Settings) -> Place | int:
    """Bind the ports and start the workers; return in each of them, and at the end in the parent.

    There it is the exit code. Raises ConfigError: a port cannot be had.
    """
    listeners = Listeners.bind(settings.listen, settings.workers)
    urls = listeners.urls("https" if settings.listen.tls_cert else "http")
    grace_s = settings.drain + SETTLE_S + CLOSE_S + MARGIN_S
    crew = Crew(settings.workers, lambda: announce(settings, urls), listeners.close, grace_s)
    role = Workers(crew).run()
    return role if isinstance(role, int) else Place(listeners.of(role.number), role)


def announce(settings: Settings, urls: Sequence[str]) -> None:
    """Tell people where the ports are, agents and operators last: by then all can be asked."""
    listen = settings.listen
    agents, operators, *others = urls
    named = (("attach", listen.attach), ("health", listen.health))
    for name, url in zip((name for name, address in named if address), others, strict=True):
        click.echo(f"{name} on {url}", err=True)
    click.echo(f"agents on {agents}, operators on {operators}", err=True)
