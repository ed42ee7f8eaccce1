"""The settings the chart renders are settings the gateway takes."""

from pathlib import Path

import pytest
import yaml

from proxy.cli.main import COMMANDS
from proxy.cli.serve import serve
from proxy.config import load_settings
from proxy.errors import ConfigError
from tests.harness.chart import CHART, VALUES, Rendered, render

# What the chart is ahead of: sidecars that attach to a gateway.
AHEAD = ("attach: unknown key", "listen.attach: unknown key")


def problems(rendered: Rendered, directory: Path) -> list[str]:
    """Load the settings with the container's environment; return what is wrong with them."""
    file = directory / "detent.yaml"
    file.write_text(yaml.safe_dump(rendered.settings))
    environ = {
        one["name"]: one.get("value", "10.0.0.1") for one in rendered.container("detent")["env"]
    }
    try:
        load_settings(file, environ)
    except ConfigError as error:
        return [one.split(": ", 1)[1] for one in error.problems]
    return []


@pytest.mark.parametrize("values", VALUES, ids=lambda file: file.stem)
def test_rendered_settings_load(helm: str, tmp_path: Path, values: Path) -> None:
    """With the environment of the container; what is ahead is named, and nothing else is wrong."""
    wrong = problems(render(helm, values), tmp_path)
    assert [one for one in wrong if not one.startswith(AHEAD)] == []


@pytest.mark.parametrize("values", ["gateway-sqlite", "gateway-opa", "sidecar"])
def test_what_runs_alone_needs_nothing_that_is_ahead(
    helm: str, tmp_path: Path, values: str
) -> None:
    """One replica, a remote OPA, a sidecar with its own ledger: all there."""
    assert problems(render(helm, CHART / f"values/{values}.yaml"), tmp_path) == []


@pytest.mark.parametrize("values", ["gateway", "gateway-sqlite", "gateway-opa", "sidecar"])
def test_the_arguments_are_those_of_the_command(helm: str, values: str) -> None:
    """`detent serve` with options it has."""
    command, *options = render(helm, CHART / f"values/{values}.yaml").container("detent")["args"]
    assert command in COMMANDS
    with serve.make_context("serve", options):
        pass


def test_no_variable_of_the_cluster_is_a_setting(helm: str, tmp_path: Path) -> None:
    """A Service called `detent` would add DETENT_PORT, with which no gateway starts."""
    rendered = render(helm, CHART / "values/gateway-sqlite.yaml")
    assert rendered.pod["enableServiceLinks"] is False
    file = tmp_path / "detent.yaml"
    file.write_text(yaml.safe_dump(rendered.settings))
    with pytest.raises(ConfigError, match="port: unknown key"):
        load_settings(file, {"DETENT_PORT": "tcp://10.0.0.1:8787"})
