"""The command in this process, and something to run it on."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.cli import serve as module
from tests.harness.tiny_bundle import write
from tests.harness.told_port import operate, port
from tests.harness.world import World

Run = Callable[..., Result]

__all__ = ["operate", "port"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """What a gateway is made from: a bundle that is quick to load, a server nobody calls."""
    world = World(tmp_path, "http://127.0.0.1:9")
    write(world.bundle)
    return world


@pytest.fixture(autouse=True)
def _our_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the logging of this process as it is."""
    monkeypatch.setattr(module, "configure", lambda *_: None)


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory that temporary files go to."""
    place = tmp_path / "t"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def detent(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `detent` with arguments and nothing but the environment it is given."""
    for name in [name for name in os.environ if name.startswith("DETENT_")]:
        monkeypatch.delenv(name)

    def run(*arguments: str | Path, **environ: str) -> Result:
        return CliRunner().invoke(main, [str(one) for one in arguments], env=environ)

    return run
