"""The real process, its recorder and its world."""

from tests.harness.fixtures import gateway, recorder, world

__all__ = ["gateway", "recorder", "world"]
