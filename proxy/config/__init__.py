"""Settings, read only by app and cli."""

from proxy.config.load import load_settings
from proxy.config.settings import Settings

__all__ = ["Settings", "load_settings"]
