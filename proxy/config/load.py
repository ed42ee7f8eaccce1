"""Reading `detent.yaml` and laying the environment over it.

`DETENT_A__B=value` overrides `a.b` (the value is YAML). Secrets never stand in the file: they are
named by `file:` or `env:`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from proxy.config.settings import Settings
from proxy.config.yaml_lines import Lines, read_yaml
from proxy.errors import ConfigError

NOT_SETTINGS = frozenset(
    {"DETENT_AGENTS_URL", "DETENT_CONFIG", "DETENT_OPERATOR_TOKEN", "DETENT_TOKEN", "DETENT_URL"}
)


def load_settings(file: Path, environ: Mapping[str, str]) -> Settings:
    """Read the file, lay the environment over it, check everything.

    Raises ConfigError with one line per problem: file, line, what, cure.
    """
    values, lines = read_yaml(file)
    named = NOT_SETTINGS | _secret_names(values)
    for name, value in environ.items():
        if name.startswith("DETENT_") and name not in named:
            _override(values, name, value)
    values["directory"] = file.resolve().parent
    try:
        return Settings.model_validate(values)
    except ValidationError as invalid:
        raise ConfigError(
            tuple(_problem(file, lines, dict(error)) for error in invalid.errors())
        ) from None


def _secret_names(value: object) -> frozenset[str]:
    """Return the variables the file names as secrets (`env: NAME`); they are no overrides."""
    if isinstance(value, list):
        return frozenset().union(*map(_secret_names, value))
    if not isinstance(value, dict):
        return frozenset()
    own = {value["env"]} if isinstance(value.get("env"), str) else set()
    return frozenset(own).union(*map(_secret_names, value.values()))


def _override(values: dict[str, Any], name: str, text: str) -> None:
    path = name.removeprefix("DETENT_").lower().split("__")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError((f"{name}: not a YAML value; quote it",)) from None
    for part in path[:-1]:
        inner = values.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError((f"{name}: {part} is not a block; correct the variable's name",))
        values = inner
    values[path[-1]] = value


def _problem(file: Path, lines: Lines, error: dict[str, Any]) -> str:
    place = tuple(error["loc"])
    known = next((lines[place[:n]] for n in range(len(place), -1, -1) if place[:n] in lines), 1)
    where = ".".join(str(part) for part in place) or "the file"
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown key; remove it or correct its name"
    return f"{file.name}:{known}: {where}: {message}"
