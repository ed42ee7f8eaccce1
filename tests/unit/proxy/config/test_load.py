from pathlib import Path

import pytest

from proxy.config import Settings, load_settings
from proxy.errors import ConfigError


def load(tmp_path: Path, text: str, **environ: str) -> Settings:
    """Load a file of this text."""
    file = tmp_path / "detent.yaml"
    file.write_text(text)
    return load_settings(file, environ)


def test_all_problems_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    """One line each: file, line, place, cure."""
    text = "policy:\n  deadline: 3\nbogus: 1\nservers:\n  x: {}\n"
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text)
    assert error.value.problems == (
        (
            "detent.yaml:2: policy.deadline: "
            "a duration with its unit is needed, such as 250ms, 2s or 5m"
        ),
        "detent.yaml:5: servers.x: a server has exactly one of `mcp` and `http`",
        "detent.yaml:3: bogus: unknown key; remove it or correct its name",
    )


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    """Double underscores go into blocks; values are YAML."""
    settings = load(
        tmp_path, "dry_run: false\n", DETENT_DRY_RUN="true", DETENT_POLICY__DEADLINE="1s"
    )
    assert settings.dry_run is True
    assert settings.policy.deadline == 1.0


def test_an_override_of_nothing_is_an_error(tmp_path: Path) -> None:
    """A mistyped variable is told, not ignored."""
    with pytest.raises(ConfigError, match="unknown key"):
        load(tmp_path, "dry_run: false\n", DETENT_DRYRUN="true")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DETENT_DRY_RUN", "[", "not a YAML value"),
        ("DETENT_DRY_RUN__DEEPER", "1", "is not a block"),
    ],
)
def test_a_broken_override_is_told(tmp_path: Path, name: str, value: str, message: str) -> None:
    """The variable's name stands in the message, its value does not."""
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, "dry_run: false\n", **{name: value})


def test_secrets_and_the_clients_variables_are_no_overrides(tmp_path: Path) -> None:
    """A variable that the file names as a secret stays a secret."""
    text = "canaries:\n- {name: key, token: {env: DETENT_BAIT}}\n"
    settings = load(tmp_path, text, DETENT_BAIT="x" * 20, DETENT_OPERATOR_TOKEN="t")
    assert settings.canaries[0].token.env == "DETENT_BAIT"


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    """Detent can be started from anywhere."""
    settings = load(tmp_path, "store: sqlite:///var/x.db\n")
    assert settings.database == tmp_path / "var/x.db"
    assert settings.path(Path("/abs")) == Path("/abs")
