"""The doors are tested on the gateway's own event loop."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from tests.harness.agents_port import agents_port

__all__ = ["agents_port"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test of this folder on uvloop."""
    return {"uvloop": uvloop.new_event_loop}
