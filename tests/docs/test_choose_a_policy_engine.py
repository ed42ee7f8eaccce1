"""The page on engines: its settings load, its list of builtins is the engine's."""

import re
from pathlib import Path

import yaml

from proxy.config.policy import Policy
from proxy.pdp.wasm.builtins import PORTABLE

PAGE = (Path(__file__).parents[2] / "docs/how-to/choose-a-policy-engine.md").read_text()


def test_the_settings_of_the_page_load() -> None:
    """With each of the engines in its table that needs nothing else."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    given = yaml.safe_load(block)["policy"]
    for engine in ("managed", "wasm"):
        assert Policy(**given | {"engine": engine}).engine == engine


def test_the_page_lists_every_builtin_of_the_wasm_engine() -> None:
    """And no other."""
    listed = PAGE.partition("<!-- builtins -->")[2].partition("<!-- end -->")[0]
    assert re.findall(r"`([^`]+)`", listed) == sorted(PORTABLE)
