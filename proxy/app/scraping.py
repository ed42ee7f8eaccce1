"""`/metrics` of a gateway with workers: whoever is asked gives the series of all of them."""

from collections.abc import Callable

from proxy.observability.by_worker import by_worker
from proxy.process.siblings import Siblings

WITHIN_S = 0.5


async def scraped(siblings: Siblings, own: Callable[[], bytes]) -> bytes:
    """Return the metrics of every worker, each under its label."""
    others = await siblings.ask(WITHIN_S)
    return by_worker({siblings.number: own(), **others})
