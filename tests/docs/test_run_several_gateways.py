"""The how-to page on several gateways: its settings load, what it names is there."""

import re
from pathlib import Path

import yaml

from proxy.config import Settings
from proxy.model.reasons import REASONS
from proxy.observability.by_worker import UP
from proxy.process import workers
from proxy.stores.postgres import Address
from proxy.stores.postgres.standing import connections_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/run-several-gateways.md").read_text()


def settings() -> Settings:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return Settings.model_validate(yaml.safe_load(block))


def test_the_settings_of_the_page_load() -> None:
    """With as many workers as the page speaks of."""
    assert settings().workers == 4
    assert "`detent serve --workers 4`" in PAGE


def test_the_connections_are_as_many_as_it_says() -> None:
    """Those of all workers."""
    count = settings().workers * connections_of(Address.parse(settings().store))
    assert f"open {count} connections" in PAGE


def test_the_refusals_to_come_back_after_are_those_that_say_so() -> None:
    """Each is a 503, which says that nothing was sent."""
    (row,) = re.findall(r"^\| 503 (.*?) \|", PAGE, re.MULTILINE)
    named = re.findall(r"`([a-z-]+)`", row)
    assert len(named) == 3
    assert all((REASONS[one].http, REASONS[one].fault) == (503, True) for one in named)
    assert "idempotency-key-in-use" in REASONS


def test_figures_of_the_parent_are_its_own() -> None:
    """How long it waits, when it gives up, how it tells."""
    last = f"later up to {workers.LAST_BACK_OFF_S:.0f} s"
    assert f"after {workers.FIRST_BACK_OFF_S} s, {last}" in PAGE
    assert (workers.MAX_FAILURES, workers.UNAVAILABLE) == (6, 3)
    assert "six failures in a row end the gateway with exit code 3" in PAGE
    assert f"`{UP}`" in PAGE


def test_the_pages_it_points_to_are_there() -> None:
    """Relative to itself."""
    linked = re.findall(r"\]\(([^)#]+)", PAGE)
    assert linked
    assert all((ROOT / "docs/how-to" / one).is_file() for one in linked)
