"""The real process, its recorder and its world."""

from tests.harness.agents_port import agents_port
from tests.harness.fixtures import gateway, recorder, world
from tests.harness.operators import plane

__all__ = ["agents_port", "gateway", "plane", "recorder", "world"]
