"""The policy engine port: one query, one answer, and the revision that gave it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

DECISION_PATH = "detent/main/decision"
VISIBLE_PATH = "detent/main/visible"
MASK_PATH = "detent/log/mask"
# The only paths that are asked. Policies may leave the last one undefined.
PATHS = (DECISION_PATH, VISIBLE_PATH, MASK_PATH)


@dataclass(frozen=True, slots=True)
class StagedBundle:
    """A checked, private, unchanging copy of the policies. `revision` is stamped on decisions."""

    directory: Path
    revision: str


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """`result` is None when the rule is undefined; `revision` comes from OPA's provenance."""

    result: Any
    revision: str


def nothing() -> None:
    """Do nothing when a bundle was swapped."""


class PolicyEngine(Protocol):
    """A way to run OPA."""

    async def start(self, bundle: StagedBundle) -> None:
        """Serve this bundle. Raises PolicyInvalid, PolicyUnavailable."""
        ...

    async def replace(self, bundle: StagedBundle, swapped: Callable[[], None] = nothing) -> None:
        """Serve this bundle instead, without an unanswered query; on failure keep the old one.

        `swapped` is called, once, in the moment from which queries are answered by the new bundle,
        before what is under way by the old one has ended. Raises PolicyInvalid, PolicyUnavailable.
        """
        ...

    async def query(self, path: str, body: bytes, deadline_s: float) -> QueryAnswer:
        """Evaluate `data.<path>` on a JSON body `{"input": …}`. Raises PolicyUnavailable."""
        ...

    async def stop(self) -> None:
        """Stop whatever was started."""
        ...
