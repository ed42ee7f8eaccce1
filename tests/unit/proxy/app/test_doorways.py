"""Which names the ports answer to; what binds them is tested with the whole gateway."""

import asyncio
from socket import socket
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.app.doorways import Doorways, names_of
from proxy.app.open_files import HEALTH_CONNECTIONS
from proxy.config import Settings
from proxy.ingress.origins import Origins
from proxy.model.kill import KillState
from proxy.observability.metrics import Metrics
from proxy.process.siblings import Mailbox, Siblings


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        ((), set()),
        (("Gw.example",), {"gw.example", "gw.example:8787"}),
        (("gw:443",), {"gw:443"}),
        (("[fd00::1]",), {"[fd00::1]", "[fd00::1]:8787"}),
    ],
)
def test_a_name_with_a_port_stands_for_that_port_only(
    hosts: tuple[str, ...], names: set[str]
) -> None:
    """IPv6 in brackets is a name without one."""
    assert names_of(hosts, 8787) == names


TLS = {"tls_cert": "c.pem", "tls_key": "k.pem"}
BEHIND = {"tls_terminated": True}


@pytest.mark.parametrize(
    ("listen", "own_scheme"),
    [
        ({}, "http"),
        (TLS, "https"),
        (BEHIND, ""),
        ({"agents": "10.0.0.1:8787"} | TLS, ""),
        ({"agents": "0.0.0.0:8787"} | BEHIND, ""),
        ({"agents": "[::1]:8787"}, "http"),
    ],
)
def test_pages_of_our_own_origin_may_ask_on_loopback_only(
    listen: dict[str, Any], own_scheme: str
) -> None:
    """Elsewhere, or behind a proxy, the same name may serve pages of others."""
    page = "http://localhost:6274"
    settings = Settings.model_validate({"listen": {"origins": [page], **listen}})
    parts: Any = None
    pages = Doorways(parts, parts, settings, parts)._pages()
    assert pages == Origins(frozenset({page}), own_scheme)


def test_a_gateway_of_one_process_scrapes_itself() -> None:
    """There is nobody to ask."""
    parts: Any = None
    assert Doorways(parts, parts, Settings(), parts)._scrape() is None


async def test_a_worker_is_scraped_with_its_siblings() -> None:
    """Whoever is asked; the others answer meanwhile."""
    mailboxes = (Mailbox.new(), Mailbox.new())
    switch = SimpleNamespace(state=KillState.fold(()), pending=lambda: ())
    parts = SimpleNamespace(kill_switch=switch, metrics=Metrics("1"))
    gateway: Any = SimpleNamespace(parts=parts)
    nothing: Any = None
    scrapes = [
        Doorways(gateway, nothing, Settings(), nothing, Siblings(number, mailboxes))._scrape()
        for number in (1, 2)
    ]
    assert scrapes[0] is not None
    text = (await scrapes[0]()).decode()
    assert 'detent_kill_epoch{worker="2"} 0.0' in text
    assert text.count("detent_worker_up{") == 2
    for mailbox in mailboxes:
        asyncio.get_running_loop().remove_reader(mailbox.desk)
        mailbox.close()


def test_the_health_port_is_plain_and_narrow() -> None:
    """Probes speak no TLS, and few connections are enough for them."""
    parts: Any = SimpleNamespace(healthy=None)
    with socket() as bound:
        port = Doorways(parts, parts, Settings(), parts)._health((bound,))
    assert (port.tls, port.limits.connections) == (None, HEALTH_CONNECTIONS)
