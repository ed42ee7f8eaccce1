from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from proxy.cli.options import config_option, json_option, settings_of
from proxy.errors import ConfigError

Run = Callable[..., Result]


@click.command()
@config_option
@json_option
def told(config: Path, as_json: bool) -> None:
    click.echo(f"{config} {as_json}")


@pytest.mark.parametrize(
    ("arguments", "environ", "output"),
    [
        ([], {}, "detent.yaml False"),
        ([], {"DETENT_CONFIG": "/etc/d.yaml"}, "/etc/d.yaml False"),
        (["-c", "mine.yaml", "--json"], {"DETENT_CONFIG": "/etc/d.yaml"}, "mine.yaml True"),
    ],
)
def test_the_settings_are_named_on_the_line_or_in_the_environment(
    arguments: list[str], environ: dict[str, str], output: str
) -> None:
    """The line wins; without both it is detent.yaml here."""
    clean: dict[str, str | None] = {"DETENT_CONFIG": None}
    assert CliRunner().invoke(told, arguments, env=clean | environ).output.strip() == output


def test_settings_are_those_of_the_file_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment overrides is overridden."""
    file = tmp_path / "detent.yaml"
    file.write_text("dry_run: false\n")
    monkeypatch.setenv("DETENT_DRY_RUN", "true")
    assert settings_of(file).dry_run
    monkeypatch.setenv("DETENT_DRYRUN", "true")
    with pytest.raises(ConfigError, match="unknown key"):
        settings_of(file)


def test_options_override_file_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are given."""
    file = tmp_path / "detent.yaml"
    file.write_text("workers: 2\nstore: postgresql://u@h/d\n")
    monkeypatch.setenv("DETENT_WORKERS", "3")
    assert settings_of(file).workers == 3
    assert settings_of(file, workers=4).workers == 4
