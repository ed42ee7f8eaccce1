"""YAML with the line of every key, and duplicate keys refused."""

from pathlib import Path
from typing import Any

import yaml

from proxy.errors import ConfigError

Lines = dict[tuple[object, ...], int]


def read_yaml(file: Path) -> tuple[dict[str, Any], Lines]:
    """Return the file's block and the line (from 1) of every path in it. Raises ConfigError."""
    try:
        node = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError((f"{file}: cannot be read ({error.strerror}); check the path",)) from None
    except UnicodeDecodeError:
        raise ConfigError((f"{file.name}:1: not UTF-8; save it as UTF-8",)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise ConfigError(
            (f"{file.name}:{line}: not YAML; check indentation and quotes",)
        ) from None
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError((f"{file.name}:1: a block of settings is needed; see README",))
    lines: Lines = {}
    problems: list[str] = []
    value = _value(node, (), lines, problems)
    if problems:
        raise ConfigError(tuple(f"{file.name}:{problem}" for problem in problems))
    return value, lines


def _value(node: yaml.Node, path: tuple[object, ...], lines: Lines, problems: list[str]) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, n), lines, problems) for n, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        try:
            return yaml.SafeLoader("").construct_object(node)
        except (yaml.YAMLError, ValueError):
            problems.append(f"{lines[path]}: not a plain value; quote it")
            return None
    block: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        line = key_node.start_mark.line + 1
        if key in block:
            problems.append(f"{line}: {key} stands twice; keep one")
        block[key] = _value(value_node, (*path, key), lines, problems)
        lines[(*path, key)] = line
    return block
