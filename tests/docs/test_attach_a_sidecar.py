"""The how-to page on sidecars: the settings on it load, at the gateway and at the sidecar."""

import re

import pytest
import yaml

from proxy.config.settings import Settings
from tests.harness.world import ROOT

PAGE = (ROOT / "docs/how-to/attach-a-sidecar.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_settings_on_the_page_load(block: str) -> None:
    """With a hash in the place of dots."""
    settings = yaml.safe_load(block.replace("…", "a" * 64))
    assert Settings.model_validate(settings).attach
