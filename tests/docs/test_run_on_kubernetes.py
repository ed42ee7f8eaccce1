"""The how-to page on Kubernetes: its values render, and what it names exists."""

import re

import pytest
import yaml

from tests.harness.chart import CHART, parsed, template
from tests.harness.world import ROOT
from tests.helm.tools import program

PAGE = (ROOT / "docs/how-to/run-on-kubernetes.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
GATEWAY, REPLICAS, SIDECAR, ATTACH = (
    block.replace("sha256:…", "sha256:" + "0123456789abcdef" * 4) for block in BLOCKS
)


@pytest.fixture
def helm() -> str:
    found = program("helm")
    if found is None:
        pytest.skip("helm is not installed: `make helm` gets it, with Go")
    return found


@pytest.mark.parametrize("values", [GATEWAY, GATEWAY + REPLICAS, SIDECAR, GATEWAY + ATTACH])
def test_the_values_on_the_page_render(helm: str, values: str) -> None:
    """As they stand there, with digests filled in."""
    done = template(helm, stdin=values)
    assert done.returncode == 0, done.stderr
    assert parsed(done.stdout).of("Deployment")


def test_what_the_page_names_is_there() -> None:
    """Files of the chart, and values by their path."""
    for file in re.findall(r"`(helm/[a-z/.-]+)`", PAGE):
        assert (ROOT / file).exists(), file
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for path in re.findall(
        r"`((?:policy|metrics|sidecar|callTokens|networkPolicy)\.[\w.]+)`", PAGE
    ):
        found = values
        for name in path.split("."):
            assert name in found, path
            found = found[name]
