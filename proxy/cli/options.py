"""Options that several commands share."""

import os
from pathlib import Path

import click

from proxy.config import Settings, load_settings

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    default=lambda: Path(os.environ.get("DETENT_CONFIG", "detent.yaml")),
    help="The settings (default: $DETENT_CONFIG or detent.yaml).",
)

json_option = click.option("--json", "as_json", is_flag=True, help="JSON for machines.")


def settings_of(config: Path, attach: str | None = None, workers: int | None = None) -> Settings:
    """Load the settings of a command, with what its options override. Raises ConfigError."""
    given = {"DETENT_ATTACH__URL": attach, "DETENT_WORKERS": workers}
    overrides = {name: str(value) for name, value in given.items() if value is not None}
    return load_settings(config, {**os.environ, **overrides})
