"""Numbers against the real OPA, to the last digit."""

import json
import operator
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from proxy.pdp.find_opa import find_opa
from proxy.pdp.wasm.host import HOST
from proxy.pdp.wasm.numbers import Failed, reckoned

NUMBERS = (
    "0", "1", "-3", "100", "9007199254740993", "9223372036854775808", "100000000000000000000001",
    "0.5", "-2.25", "1.0", "0.1", "0.2", "1e21", "1e-7", "1.5e3", "-1e40",
    "3.3333333333333333333333",
)  # fmt: skip


@pytest.mark.parametrize("builtin", ["plus", "minus", "mul"])
def test_numbers_are_reckoned_as_in_opa(builtin: str, tmp_path: Path) -> None:
    """Integers exactly, everything else with 64 binary digits."""
    pairs = [(left, right) for left in NUMBERS for right in NUMBERS]
    rule = f"r[i] := v if {{\n\tsome i, q in input\n\tv := {builtin}(q[0], q[1])\n}}\n"
    (tmp_path / "x.rego").write_text(f"package x\n\n{rule}")
    (tmp_path / "i.json").write_text("[" + ",".join(f"[{a},{b}]" for a, b in pairs) + "]")
    command = [str(find_opa().path), "eval", "-fraw", "-dx.rego", "-ii.json", "data.x.r"]
    told = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, check=True).stdout
    theirs = json.loads(told, parse_float=Decimal)
    ours = {str(i): HOST[builtin](number(a), number(b)) for i, (a, b) in enumerate(pairs)}
    assert {pairs[int(i)]: ours[i] for i in theirs if ours[i] != theirs[i]} == {}


def number(text: str) -> Any:
    """Read a number as the engine does."""
    return json.loads(text, parse_float=Decimal)


@pytest.mark.parametrize("value", ["1", None, True, [1]])
def test_what_is_no_number_fails(value: Any) -> None:
    """True is no 1."""
    with pytest.raises(Failed):
        HOST["abs"](value)


def test_the_absolute_value() -> None:
    """Of an integer and of a fraction."""
    assert [HOST["abs"](-2), HOST["abs"](Decimal("-0.5"))] == [2, Decimal("0.5")]


@pytest.mark.parametrize("value", ["1e500", "1e-500"])
def test_a_number_beyond_all_bounds_fails(value: str) -> None:
    """It would take long to reckon with."""
    with pytest.raises(Failed):
        reckoned(operator.add, Decimal(value), 1)
