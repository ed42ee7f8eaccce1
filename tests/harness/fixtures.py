"""Fixtures for tests against the real process; imported by the conftest of each folder."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.gateway import Gateway
from tests.harness.recorder import Recorder
from tests.harness.world import World


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """A tool that writes down what it gets."""
    recorder = await Recorder().start()
    yield recorder
    await recorder.stop()


@pytest.fixture
def world(tmp_path: Path, recorder: Recorder) -> World:
    """What the gateway will be started with."""
    return World(tmp_path, recorder.url)


@pytest.fixture
async def gateway(world: World) -> AsyncIterator[Gateway]:
    """A gateway that is up."""
    async with Gateway(world) as gateway:
        yield gateway
