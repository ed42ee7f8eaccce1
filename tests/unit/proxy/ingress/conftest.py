"""A recording gate and the agents' application in front of it, in process."""

import pytest
from starlette.types import ASGIApp

from tests.harness.doors import RecordingGate, app_of
from tests.harness.operators import plane

__all__ = ["plane"]


@pytest.fixture
def gate() -> RecordingGate:
    """A pipeline that only writes down what it is given."""
    return RecordingGate()


@pytest.fixture
def app(gate: RecordingGate) -> ASGIApp:
    """The agents' application in front of it."""
    return app_of(gate)
