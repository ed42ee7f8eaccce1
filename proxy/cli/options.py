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


def settings_of(config: Path, attach: str | None = None) -> Settings:
    """Load the settings of a command, attached to that gateway. Raises ConfigError."""
    if attach is None:
        return load_settings(config, os.environ)
    return load_settings(config, {**os.environ, "DETENT_ATTACH__URL": attach})
