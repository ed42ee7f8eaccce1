"""The reference says what the product says of itself."""

import re

import pytest

from proxy.config import Settings
from tests.docs.reference import PAGES, PLACE


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_it_would_be_written_now(name: str) -> None:
    """`make fmt` writes it."""
    assert (PLACE / name).read_text() == PAGES[name](), "run `make fmt`"


def test_every_key_of_the_file_is_there() -> None:
    """Those at the top, and deep ones."""
    keys = set(re.findall(r"^\| `([^`]+)` \|", (PLACE / "settings.md").read_text(), re.MULTILINE))
    assert keys >= Settings.model_fields.keys() - {"directory"}
    assert {"policy.pull.every", "identity.agents[].max_mode", "servers.<name>.mcp.url"} <= keys
    assert "directory" not in keys


def test_requests_tell_roles_members_and_statuses() -> None:
    """One of each kind."""
    page = (PLACE / "requests.md").read_text()
    (lift,) = re.findall(r"^\| `DELETE /killswitch/\{epoch\}` .*$", page, re.MULTILINE)
    assert "| lift |" in lift
    assert "| `reason` |" in lift
    (promote,) = re.findall(r"^\| `POST /v1/policy/promote` .*$", page, re.MULTILINE)
    assert promote.endswith("200 `policy_revision`; 422 |")
