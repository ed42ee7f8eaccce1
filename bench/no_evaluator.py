"""`python -m bench.no_evaluator serve …`: the gateway with a policy engine that always says yes.

It measures what everything but the evaluator costs. It is not part of the product and cannot be
configured there.
"""

import json
from collections.abc import Callable
from typing import Any

from proxy.app import build
from proxy.cli import main
from proxy.pdp.base import DECISION_PATH, QueryAnswer, StagedBundle, nothing

YES: dict[str, Any] = {
    "verdict": "allow",
    "reasons": [{"id": "bench", "message": "Everything is allowed."}],
    "obligations": [],
    "grant": None,
    "cost": {"risk": 1},
    "labels": [],
}


class SaysYes:
    """A policy engine that reads its input as OPA would have to, and allows."""

    def __init__(self) -> None:
        self._revision = ""

    async def start(self, bundle: StagedBundle) -> None:
        """Remember the revision."""
        self._revision = bundle.revision

    async def replace(self, bundle: StagedBundle, swapped: Callable[[], None] = nothing) -> None:
        """Remember the revision."""
        self._revision = bundle.revision
        swapped()

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        """Allow."""
        del deadline_s
        listed = path != DECISION_PATH
        result: Any = (
            [one["id"] for one in json.loads(body)["input"]["resources"]] if listed else YES
        )
        return QueryAnswer(result, self._revision)

    async def stop(self) -> None:
        """Nothing was started."""


if __name__ == "__main__":
    build.ENGINES["managed"] = lambda _builder, _probe: SaysYes()
    main()
