from pathlib import Path

import pytest

from proxy.config.yaml_lines import read_yaml
from proxy.errors import ConfigError


def test_every_key_knows_its_line(tmp_path: Path) -> None:
    """Lines count from 1 and reach into lists."""
    file = tmp_path / "detent.yaml"
    file.write_text("a: 1\nb:\n  - c: x\n    d: 2.5\n")
    value, lines = read_yaml(file)
    assert value == {"a": 1, "b": [{"c": "x", "d": 2.5}]}
    assert lines["b", 0, "d"] == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", "detent.yaml:2: a stands twice; keep one"),
        ("a: [1\n", "detent.yaml:2: not YAML; check indentation and quotes"),
        ("- a\n", "detent.yaml:1: a block of settings is needed; see README"),
        ("", "detent.yaml:1: a block of settings is needed; see README"),
        ("a: 1\nb: !run x\n", "detent.yaml:2: not a plain value; quote it"),
        ("a: 1\nb: [2026-99-99]\n", "detent.yaml:2: not a plain value; quote it"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    """Duplicate keys, broken YAML and files that are no block."""
    file = tmp_path / "detent.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_yaml(file)
    assert error.value.problems == (problem,)


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    """The cure is the encoding."""
    file = tmp_path / "detent.yaml"
    file.write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_yaml(file)


def test_a_missing_file_is_told_with_its_path(tmp_path: Path) -> None:
    """The cure is to check the path."""
    with pytest.raises(ConfigError, match="check the path"):
        read_yaml(tmp_path / "none.yaml")
