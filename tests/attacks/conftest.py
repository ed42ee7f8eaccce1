"""The real process, its recorder and its world."""

from tests.harness.agents_port import agents_port
from tests.harness.fixtures import gateway, recorder, world
from tests.harness.operators import plane
from tests.harness.reached import reached
from tests.harness.rest import rest, rest_gateway
from tests.harness.standing import shape, standing, standing_gateway

__all__ = [
    "agents_port",
    "gateway",
    "plane",
    "reached",
    "recorder",
    "rest",
    "rest_gateway",
    "shape",
    "standing",
    "standing_gateway",
    "world",
]
