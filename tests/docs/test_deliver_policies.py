"""The how-to page on delivery: its settings load, its commands, metrics and alerts exist."""

import re
from pathlib import Path

import yaml

from proxy.app.shadowing import Candidate
from proxy.config import Settings
from proxy.ingress.operator_access import Role
from proxy.observability.metrics import SHADOWED, Metrics
from proxy.pdp.delivery.packing import MAX_PACKED_BYTES
from proxy.pdp.delivery.shadow import Compared
from tests.harness.commands import options_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/deliver-policies.md").read_text()
BLOCKS = [
    yaml.safe_load(block)
    for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
]


def test_the_settings_of_the_page_load() -> None:
    """A signed bundle that is pulled, and a candidate."""
    pulled, tried = [Settings.model_validate(block).policy for block in BLOCKS[:2]]
    assert (pulled.bundle, pulled.pull.every) == (BLOCKS[0]["policy"]["bundle"], 30)
    assert tried.shadow == Path("candidate")


def test_the_commands_of_the_page_exist() -> None:
    """With the options it gives them."""
    used = re.findall(r"^\$ detent policy (\w+)(.*)$", PAGE, re.MULTILINE)
    assert {"build", "sign", "verify", "reload", "status", "promote", "rollback"} == {
        name for name, _ in used
    }
    for name, rest in used:
        known = options_of("policy", name)
        assert set(re.findall(r"(?:^| )(--?\w+)", rest)) <= known


def test_what_it_counts_is_counted() -> None:
    """Under these names, with these results."""
    metrics = Metrics("1")
    metrics.policy_loaded("sha256:1")
    scrape = metrics.render().decode()
    for name in set(re.findall(r"`(detent_\w+)", PAGE)):
        assert f"\n{name}{{" in scrape
    assert set(SHADOWED) == {str(one) for one in Compared}
    assert all(f"`{one}`" in PAGE for one in SHADOWED)


def test_its_figures_and_roles_are_true() -> None:
    """Sizes, roles, and a candidate that gets every decision."""
    assert f"{MAX_PACKED_BYTES // 1024**2} MiB" in PAGE
    assert {"pull", "policy", "view"} <= set(Role)
    assert callable(Candidate.note)


def test_an_opa_is_told_where_we_serve() -> None:
    """The resource is our path, the key is the one that signs."""
    opa = BLOCKS[2]
    bundle = opa["bundles"]["detent"]
    assert f"/{bundle['resource']}" == "/v1/policy/bundle"
    assert bundle["signing"]["keyid"] in opa["keys"]
    assert opa["keys"][bundle["signing"]["keyid"]]["algorithm"] == "ES256"


def test_the_pages_it_points_to_are_there() -> None:
    """Relative to itself."""
    linked = re.findall(r"\]\(([^)#]+)", PAGE)
    assert linked
    assert all((ROOT / "docs/how-to" / one).is_file() for one in linked)
