import socket
from types import SimpleNamespace

import pytest

from proxy.cli import crew as module
from proxy.cli.crew import Place, announce, enter_crew
from proxy.config import Settings
from proxy.errors import ConfigError
from proxy.process.siblings import Siblings
from proxy.process.worker import Worker
from proxy.process.workers import Crew

LISTEN = {"agents": "127.0.0.1:0", "operators": "127.0.0.1:0", "health": "127.0.0.1:0"}
GIVEN = {"store": "postgresql://u@h/d", "workers": 2, "drain": "3s", "listen": LISTEN}
SETTINGS = Settings.model_validate(GIVEN)


@pytest.fixture
def crews(monkeypatch: pytest.MonkeyPatch) -> list[Crew]:
    """What a parent was told to do; it does so in no time and ends with 3."""
    told: list[Crew] = []

    class Parent:
        def __init__(self, crew: Crew) -> None:
            told.append(crew)

        def run(self) -> int:
            told[-1].serving()
            told[-1].stopping()
            return 3

    monkeypatch.setattr(module, "Workers", Parent)
    return told


def test_the_parent_tells_where_all_serve_and_ends_with_their_code(
    crews: list[Crew], capsys: pytest.CaptureFixture[str]
) -> None:
    """It waits for its workers longer than they take to drain."""
    assert enter_crew(SETTINGS) == 3
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("health on http://127.0.0.1:")
    assert lines[1].startswith("agents on http://127.0.0.1:")
    assert crews[0].count == 2
    assert crews[0].grace_s > 3 + 2 + 2


def test_a_worker_gets_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound ports, and who it is."""
    ours, theirs = socket.socketpair()
    worker = Worker(1, ours, Siblings(1, ()))
    monkeypatch.setattr(module, "Workers", lambda _: SimpleNamespace(run=lambda: worker))
    place = enter_crew(SETTINGS)
    assert isinstance(place, Place)
    assert place.worker is worker
    assert len(place.listeners.agents) == 2
    place.listeners.close()
    ours.close()
    theirs.close()


def test_a_port_that_is_taken_starts_nobody(crews: list[Crew]) -> None:
    """It is told once, not by each worker."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = LISTEN | {"operators": f"127.0.0.1:{taken.getsockname()[1]}"}
        with pytest.raises(ConfigError, match="cannot listen"):
            enter_crew(Settings.model_validate(GIVEN | {"listen": listen}))
    assert crews == []


def test_ports_that_are_off_are_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line is the one people and programs wait for."""
    announce(Settings(), ["http://a:1", "http://b:2"])
    assert capsys.readouterr().err == "agents on http://a:1, operators on http://b:2\n"
