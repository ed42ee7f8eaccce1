"""The stores the contract suite runs against; a new one is a row in STORES."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from proxy.stores.base import Store
from proxy.stores.sqlite import SqliteStore

STORES: dict[str, Callable[[Path], Store]] = {"sqlite": SqliteStore}


@dataclass(frozen=True)
class Place:
    """Where a ledger lies; a store made there sees what an earlier one left."""

    kind: str
    path: Path

    def store(self) -> Store:
        """Return a store there, not yet open."""
        return STORES[self.kind](self.path)
