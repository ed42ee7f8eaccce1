"""The real process, its recorder and its world; a real REST service."""

from tests.harness.datasette import datasette, tickets
from tests.harness.fixtures import gateway, recorder, world

__all__ = ["datasette", "gateway", "recorder", "tickets", "world"]
