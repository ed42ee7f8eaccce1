"""`detent serve` as one of several workers, in this process."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from click.testing import Result

from proxy.app.listeners import Listeners
from proxy.cli import serve as module
from proxy.cli.crew import Place
from proxy.config import Settings, load_settings
from proxy.process.siblings import Mailbox, Siblings
from proxy.process.worker import Worker
from tests.harness.world import World

Run = Callable[..., Result]


@dataclass
class Parent:
    """The parent's end of one worker."""

    settings: Settings
    place: Place
    control: socket.socket

    @property
    def urls(self) -> tuple[str, ...]:
        """Where the worker serves."""
        return self.place.listeners.urls("http")


@pytest.fixture
def parent(world: World) -> Iterator[Parent]:
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control.setblocking(False)
    mailbox = Mailbox.new()
    settings = load_settings(world.write(), {})
    listeners = Listeners.bind(settings.listen)
    yield Parent(settings, Place(listeners, Worker(1, theirs, Siblings(1, (mailbox,)))), control)
    for one in (control, theirs, mailbox):
        one.close()


async def test_a_worker_serves_on_what_it_was_given_and_tells_its_parent(
    parent: Parent, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """People are told by the parent; a halt of its is obeyed under its id."""
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(module._serve(parent.settings, "info", parent.place))
    async with asyncio.timeout(20):
        assert await loop.sock_recv(parent.control, 64) == b"serves"
    headers = {"Authorization": f"Bearer {world.operator_token}"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        assert b"detent_worker_up{" in (await http.get(f"{parent.urls[1]}/metrics")).content
        parent.control.send(b"halt kil_of_the_parent")
        async with asyncio.timeout(5):
            while not (told := await _active(http, parent)):
                await asyncio.sleep(0.01)
    assert [kill["order_id"] for kill in told] == ["kil_of_the_parent"]
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(serving, 15)
    assert "agents on" not in capsys.readouterr().err
    loop.remove_reader(parent.place.worker.control)
    loop.remove_reader(parent.place.worker.siblings._mailboxes[0].desk)


async def _active(http: httpx.AsyncClient, parent: Parent) -> list[dict[str, Any]]:
    active: list[dict[str, Any]] = (await http.get(f"{parent.urls[1]}/killswitch")).json()["active"]
    return active


def test_the_parent_ends_with_the_code_of_its_crew(
    detent: Run, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves nothing itself."""
    monkeypatch.setattr(module, "enter_crew", lambda _: 3)
    world.settings = {"store": "postgresql://u@h/d"}
    assert detent("serve", "--config", world.write(), "--workers", "2").exit_code == 3


def test_a_worker_goes_on_to_serve(
    detent: Run, world: World, monkeypatch: pytest.MonkeyPatch, parent: Parent
) -> None:
    """In the same process, after the fork."""
    served: list[Any] = []

    async def serve(*given: Any) -> None:
        served.append(given[2])

    monkeypatch.setattr(module, "enter_crew", lambda _: parent.place)
    monkeypatch.setattr(module, "_serve", serve)
    world.settings = {"store": "postgresql://u@h/d"}
    assert detent("serve", "--config", world.write(), "--workers", "2").exit_code == 0
    assert served == [parent.place]
    parent.place.listeners.close()
