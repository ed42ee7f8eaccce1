"""What all tests share: names of parametrised tests that are the same in every run.

Tests run side by side in several processes, which have to agree on the names; a random token in
one would keep them from it.
"""

import re

import pytest

_RANDOM = re.compile(r"dt[aos]_[A-Za-z0-9_-]{20,}|[A-Za-z0-9_-]{40,}|[0-9a-f]{32,}")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name a parameter that holds a token by its argument, not by its value."""
    del config
    return argname if isinstance(val, str) and _RANDOM.search(val) else None
