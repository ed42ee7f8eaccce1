"""Which `with` is told of, and where."""

from pathlib import Path

import pytest

from proxy.pdp.wasm.replacements import replacements


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("p := q with input as 1", []),
        ("p := q with input.a as 1 with\n input.b.c as 2", []),
        ('p := q with input["a"].b as 1', []),
        ("# with data.x as 1\np := `with data.y as 1`", []),
        ('p := "with data.x as \\" 1"', []),
        ("p := q with data.x as 1", ["1: engine wasm cannot replace data.x"]),
        ("p := `\n`\nq := r with concat as f", ["3: engine wasm cannot replace concat"]),
        ('p := q with input as 1\n\twith data.a["b"].c as 2', ["2: engine wasm cannot replace da"]),
        ("p := q with inputs as 1", ["1: engine wasm cannot replace inputs"]),
    ],
)
def test_only_the_input_may_be_replaced(tmp_path: Path, code: str, told: list[str]) -> None:
    """Comments and texts are no code; lines keep their numbers."""
    (tmp_path / "a.rego").write_text(code)
    found = list(replacements(tmp_path))
    assert len(found) == len(told)
    assert all(line.startswith(f"a.rego:{start}") for line, start in zip(found, told, strict=True))
