"""Which schemas a Detent works with."""

import pytest

from proxy.stores.schema_state import SchemaState


@pytest.mark.parametrize(
    ("found", "compatible", "newest", "usable"),
    [(2, 2, 2, True), (3, 2, 2, True), (3, 3, 2, False), (1, 1, 2, False), (0, 0, 2, False)],
)
def test_a_newer_schema_may_say_that_we_can_use_it(
    found: int, compatible: int, newest: int, usable: bool
) -> None:
    """An older one never does: something we need is missing."""
    assert SchemaState(found, compatible, newest).is_usable is usable
