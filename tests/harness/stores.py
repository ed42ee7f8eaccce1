"""The stores the contract suite runs against; a new one is a row in STORES."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.stores.base import Store
from proxy.stores.sqlite import SqliteStore
from tests.harness.postgres import Server, store_at


def _sqlite(where: str) -> Store:
    return SqliteStore(Path(where))


STORES: dict[str, Callable[[str], Store]] = {"postgres": store_at, "sqlite": _sqlite}


@dataclass(frozen=True)
class Place:
    """Where a ledger lies, a path or a URL; a store made there sees what an earlier one left."""

    kind: str
    where: str

    def store(self) -> Store:
        """Return a store there, not yet open."""
        return STORES[self.kind](self.where)


class Places:
    """New places of one kind."""

    def __init__(self, kind: str, folder: Path, request: pytest.FixtureRequest) -> None:
        self.kind = kind
        self._folder = folder
        self._count = 0
        # Asked for here, so that tests of other stores start no server.
        self._server: Server | None = None
        if kind == "postgres":
            self._server = request.getfixturevalue("postgres")

    def new(self) -> Place:
        """Return a place nobody has used."""
        self._count += 1
        if self._server is not None:
            return Place(self.kind, self._server.new())
        return Place(self.kind, str(self._folder / f"ledger{self._count}" / "detent.db"))
