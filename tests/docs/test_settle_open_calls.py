"""The page about open calls: its manifest loads, its commands exist."""

import json
import re
from pathlib import Path

import yaml

from proxy.cli.main import COMMANDS
from proxy.model.tool import Match, Recovery
from proxy.pdp.manifests import load_catalogue
from tests.harness.tiny_bundle import write

PAGE = Path(__file__).parents[2] / "docs/how-to/settle-open-calls.md"
BUDGETS = {"default": {"session_risk": 10, "agent_risk": 20, "window_s": 60}}


def test_the_manifest_of_the_page_loads(tmp_path: Path) -> None:
    """Every class of recovery, and a recipe."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    tools = json.dumps(yaml.safe_load(text))
    write(tmp_path, {"tools/tickets/data.json": tools, "budgets/data.json": json.dumps(BUDGETS)})
    known = load_catalogue(tmp_path).tools
    assert {one.recovery for one in known.values()} == set(Recovery)
    probe = known["tickets", "set_status"].probe
    assert probe is not None
    assert (probe.tool, probe.expect[0].match) == ("get_ticket", Match.ARGUMENT)


def test_the_commands_of_the_page_exist() -> None:
    """Under the names it gives them."""
    used = set(re.findall(r"^\$ detent (\w+)", PAGE.read_text(), re.MULTILINE))
    assert used == {"stuck", "settle"}
    assert used <= COMMANDS.keys()
