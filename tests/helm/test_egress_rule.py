"""The rule the init container loads, in a real network namespace with real uids."""

import json
from pathlib import Path

import pytest

from tests.harness.chart import CHART, render
from tests.harness.pod_network import NEIGHBOUR, PORT, try_rules, why_not

ALONE = {
    "agent leaves": False,
    "agent leaves elsewhere": False,
    "agent leaves over IPv6": False,
    "agent asks for names": False,
    "agent asks for names over IPv6": False,
    "agent calls": True,
    "agent operates": False,
    "agent operates by address": False,
    "agent lifts the rule": False,
    "detent leaves": True,
    "detent leaves elsewhere": True,
    "detent leaves over IPv6": True,
    "detent asks for names": True,
    "detent asks for names over IPv6": True,
    "detent calls": True,
    "detent operates": True,
    "detent operates by address": True,
    "detent lifts the rule": False,
    "node forwards to operators": True,
    "a probe comes in": True,
    "a stranger comes in": False,
    "node lifts the rule": True,
}


@pytest.fixture(autouse=True)
def possible() -> None:
    if reason := why_not():
        pytest.skip(f"the rule was not tried: {reason}")


def rules(helm: str, directory: Path, allow: list[dict[str, object]]) -> Path:
    """Write the rule of the rendered ConfigMap."""
    more = json.dumps({"sidecar": {"egress": {"allow": allow}}})
    rendered = render(helm, CHART / "values/sidecar.yaml", stdin=more)
    file = directory / "egress.nft"
    file.write_text(rendered.one("ConfigMap", "detent-egress")["data"]["egress.nft"])
    return file


def test_only_detent_leaves_the_pod(helm: str, tmp_path: Path) -> None:
    """The agent speaks to Detent on loopback and to nobody else, not even for a name."""
    assert try_rules(rules(helm, tmp_path, [])) == ALONE


def test_what_the_agent_may_reach_is_one_address_and_port(helm: str, tmp_path: Path) -> None:
    """An exception is as wide as it is written; names still go nowhere."""
    allowed = rules(helm, tmp_path, [{"cidr": f"{NEIGHBOUR}/32", "port": PORT}])
    assert try_rules(allowed) == ALONE | {"agent leaves": True}
