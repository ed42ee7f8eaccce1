"""Which schema a ledger has, and whether this Detent can work with it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What is there (version 0: nothing) and what this Detent was written for.

    `compatible`: the oldest schema a Detent may have been written for to work with what is there.
    """

    found: int
    compatible: int
    newest: int

    @property
    def is_usable(self) -> bool:
        """Whether this Detent can work with it."""
        return self.compatible <= self.newest <= self.found
