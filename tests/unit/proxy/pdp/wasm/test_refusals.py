"""What is told of, and where."""

from pathlib import Path

import pytest

from proxy.pdp.wasm.refusals import refusals


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
        ("p := q with # why\n data.x as 1", ["1: engine wasm cannot replace data.x"]),
        ("p := q with data.x # why\n as 1", ["1: engine wasm cannot replace data.x"]),
        ("p := q with data.x[f[0]].y as 1", ["1: engine wasm cannot replace data.x"]),
        ("p := input.with\n\nq := 1", []),
        ("p := q with inputs as 1", ["1: engine wasm cannot replace inputs"]),
    ],
)
def test_only_the_input_may_be_replaced(tmp_path: Path, code: str, told: list[str]) -> None:
    """Comments and texts are no code; lines keep their numbers."""
    (tmp_path / "a.rego").write_text(code)
    found = list(refusals(tmp_path))
    assert len(found) == len(told)
    assert all(line.startswith(f"a.rego:{start}") for line, start in zip(found, told, strict=True))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("p := 1e2", ["1: engine wasm reads 1e2 in"]),
        (
            "p := [\n-1.5E-3, {0.1e+1: 2}]",
            ["2: engine wasm reads 1.5E-3", "2: engine wasm reads 0.1"],
        ),
        ("p := a1e2 + data.b.c1e2", []),
        ('p := "1e2" # 1e2', []),
        ("p := 0x1", []),
    ],
)
def test_a_number_with_an_exponent_is_told(tmp_path: Path, code: str, told: list[str]) -> None:
    """Names, comments and texts have none."""
    (tmp_path / "a.rego").write_text(code)
    found = list(refusals(tmp_path))
    assert len(found) == len(told)
    assert all(line.startswith(f"a.rego:{start}") for line, start in zip(found, told, strict=True))
