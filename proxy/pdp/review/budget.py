"""How much may change: the regression budget a review is held against."""

from dataclasses import dataclass

from proxy.pdp.review.compare import Review
from proxy.pdp.review.outcome import Change


@dataclass(frozen=True, slots=True)
class Budget:
    """The most there may be of each; None is no limit.

    `flips` are new permissions, holds, refusals and lifted obligations together; `changes` are
    inputs with the same verdict at another price, grant, label, reason or with more obligations.
    """

    flips: int = 0
    permissions: int | None = None
    refusals: int | None = None
    changes: int | None = None
    unreplayable: int | None = None

    def exceeded(self, review: Review) -> tuple[str, ...]:
        """Return a line for each limit that is passed; comparing nothing is never good."""
        flips = len(review.flips)
        found = {
            "flips": (flips, self.flips),
            "new permissions": (
                review.count(Change.PERMISSION) + review.count(Change.LIFTED),
                self.permissions,
            ),
            "new refusals": (review.count(Change.REFUSAL), self.refusals),
            "other changes": (len(review.differences) - flips, self.changes),
            "not replayable": (sum(map(len, review.unreplayable.values())), self.unreplayable),
        }
        lines = tuple(
            f"{what}: {count}, and at most {most} may be"
            for what, (count, most) in found.items()
            if most is not None and count > most
        )
        return lines if review.compared else ("nothing could be compared", *lines)
