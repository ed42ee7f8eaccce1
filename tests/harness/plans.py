"""How PostgreSQL carries out a statement."""

from collections.abc import Awaitable, Callable

Plan = Callable[[str, int], Awaitable[str]]
"""Return the plan of a statement with so many parameters, as text."""


def reads_all(plan: str) -> list[str]:
    """Return the lines of a plan that read a whole table."""
    return [line for line in plan.splitlines() if "Seq Scan" in line]
