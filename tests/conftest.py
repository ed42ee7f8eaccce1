"""What all tests share: names of parametrised tests that are the same in every run.

Tests run side by side in several processes, which have to agree on the names; a random token in
one would keep them from it.
"""

import re
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

from tests.harness.postgres import durable_postgres, postgres
from tests.sampling import sampled

__all__ = ["durable_postgres", "postgres"]

# `make test` tries the same examples in every run; `make test-all` and `make fuzz` try new ones.
settings.register_profile("steady", derandomize=True)

_RANDOM = re.compile(r"dt[aosx]_[A-Za-z0-9_-]{20,}|[A-Za-z0-9_-]{40,}|[0-9a-f]{32,}")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name a parameter that holds a token by its argument, not by its value."""
    del config
    text = val.decode("latin-1") if isinstance(val, bytes) else val
    return argname if isinstance(text, str) and _RANDOM.search(text) else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say how many cases of one test are enough."""
    told = "run at most this many cases of every test; 0 runs all"
    parser.addoption("--sample", type=int, default=0, metavar="N", help=told)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases that the sample does not have."""
    most = config.getoption("--sample")
    if not most:
        return
    kept = sampled([item.nodeid for item in items], most)
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in kept])
    items[:] = [item for item in items if item.nodeid in kept]


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[
    None, dict[str, Any] | None, dict[str, Any] | None
]:
    """Escape lone surrogates in captured text, which cannot be sent between processes."""
    data = yield
    if data is not None:
        data["sections"] = [
            (title, text.encode("utf-8", "backslashreplace").decode())
            for title, text in data.get("sections", ())
        ]
    return data
