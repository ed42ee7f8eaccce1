"""Where a reference inside of a schema leads."""

from typing import Any

import pytest

from proxy.pipeline.schema_pointers import pointed_at

ROOT = {"definitions": {"a/b": [1, {"c d": 2}], "~1": 3}}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("#", ROOT),
        ("#/definitions/a~1b/0", 1),
        ("#/definitions/a~1b/1/c%20d", 2),
        ("#/definitions/~01", 3),
    ],
)
def test_a_pointer_leads_to_a_part(reference: str, found: Any) -> None:
    """Escaped as a pointer, and as a part of an address."""
    assert pointed_at(ROOT, reference) == found


@pytest.mark.parametrize(
    "reference",
    [
        7,
        None,
        "",
        "#definitions",
        "other.json#/a",
        "#/none",
        "#/definitions/a~1b/x",
        "#/definitions/~01/0",
    ],
)
def test_what_leads_nowhere_is_refused(reference: Any) -> None:
    """A name, another document, an absent part, a step into a number."""
    with pytest.raises((LookupError, ValueError, TypeError)):
        pointed_at(ROOT, reference)
