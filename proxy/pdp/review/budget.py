"""How much may change: the regression budget a review is held against."""

from dataclasses import dataclass

from proxy.pdp.review.compare import Review
from proxy.pdp.review.outcome import LOOSENED, Change


@dataclass(frozen=True, slots=True)
class Budget:
    """The most there may be of each; None is no limit.

    `flips` are all inputs on which an agent may do more or less; `permissions` are those on which
    it may do more, by another verdict, grant, cost, label or obligation; both count a limit that is
    raised. `changes` are the other differences, manifests among them. `compared` is the least that
    must have been compared.
    """

    flips: int = 0
    permissions: int | None = None
    refusals: int | None = None
    changes: int | None = None
    unreplayable: int | None = None
    compared: int = 1

    def exceeded(self, review: Review) -> tuple[str, ...]:
        """Return a line for each limit that is passed; comparing nothing is never good.

        Nor is what could not be asked, because the policies fail on too much: it may hide anything.
        """
        flips, settings = len(review.flips), len(review.settings)
        others = len(review.differences) - flips + settings - review.looser
        found = {
            "flips": (flips + review.looser, self.flips),
            "new permissions": (review.count(*LOOSENED) + review.looser, self.permissions),
            "new refusals": (review.count(Change.REFUSAL), self.refusals),
            "other changes": (others, self.changes),
            "not replayable": (sum(map(len, review.unreplayable.values())), self.unreplayable),
            "not asked": (review.not_asked, 0),
        }
        lines = tuple(
            f"{what}: {count}, and at most {most} may be"
            for what, (count, most) in found.items()
            if most is not None and count > most
        )
        if not review.compared:
            return ("nothing could be compared", *lines)
        few = f"compared: {review.compared}, and at least {self.compared} must be"
        return (few, *lines) if review.compared < self.compared else lines
