"""What explains decisions to operators: the log of this gateway, and the policy in force."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from proxy.app.review import explained
from proxy.errors import PolicyInvalid
from proxy.pdp.base import StagedBundle
from proxy.pdp.manifests import load_catalogue
from proxy.pdp.review.explain import Explanation
from proxy.pdp.review.log_files import find_record
from proxy.pdp.review.sides import Side


class Explainer:
    """Explains one decision at a time: each costs a run of OPA, beside the calls."""

    def __init__(self, log: Path, opa: Path, live: Callable[[], StagedBundle]) -> None:
        self._log = log
        self._opa = opa
        self._live = live
        self._one = asyncio.Lock()

    async def __call__(self, decision_id: str) -> Explanation | None:
        """Return the explanation, None when the log has no such decision. Raises PolicyInvalid.

        A bundle that is replaced meanwhile is being deleted: nothing is explained by half of it.
        """
        async with self._one:
            return await asyncio.to_thread(self._explained, decision_id)

    def _explained(self, decision_id: str) -> Explanation | None:
        record = find_record(self._log, decision_id) if self._log.exists() else None
        if record is None:
            return None
        while True:
            bundle = self._live()
            try:
                side = Side("live", bundle, load_catalogue(bundle.directory))
                found = explained(record, side, self._opa)
            except PolicyInvalid:
                if bundle is self._live():
                    raise
            else:
                if bundle is self._live():
                    return found
