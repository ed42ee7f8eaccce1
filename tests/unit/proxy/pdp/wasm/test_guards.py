"""Each guard, through a real module: what passes, what ends the evaluation."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.pdp.base import StagedBundle
from proxy.pdp.find_opa import find_opa
from proxy.pdp.wasm.binary import FunctionType, Module
from proxy.pdp.wasm.compile import compile_bundle
from proxy.pdp.wasm.guards import Place, Unsafe
from proxy.pdp.wasm.machine import Machine, Stopped

RULES = {
    "match": "regex.match(q[0], q[1])",
    "find": "regex.find_all_string_submatch_n(q[0], q[1], -1)",
    "glob": 'glob.match(q[0], ["/"], q[1])',
    "lower": "lower(q[0])",
    "upper": "upper(q[0])",
    "concat": 'concat(",", q[0])',
    "concat_set": 'concat(",", {item | some item in q[0]})',
    "plus": "q[0] + q[1]",
    "minus": "q[0] - q[1]",
    "mul": "q[0] * q[1]",
    "rem": "q[0] % q[1]",
    "abs": "abs(q[0])",
    "max": "max(q[0])",
    "min_set": "min({item | some item in q[0]})",
    "less": "{1, 2, 3} - {item | some item in q[0]}",
}
RIGHT: list[tuple[str, list[Any], Any]] = [
    ("match", [r"^[a-z]\\C$", r"a\C"], True),
    ("match", ["a.c", "a\u00e9c"], True),
    ("match", ["", "x"], True),
    ("find", ["(a)(b)?", "ab"], [["ab", "a", "b"]]),
    ("glob", ["repo/*", "repo/git_log"], True),
    ("glob", ["repo/*", "repo/a/b"], False),
    ("glob", ["**", "a\nb"], True),
    ("glob", ["*/b", "a\n/b"], True),
    ("lower", ["AbC"], "abc"),
    ("lower", ["\u00c9\U00010570"], "\u00e9\U00010597"),
    ("upper", ["\u00e9\u00df"], "\u00c9\u00df"),
    ("lower", ["\U00020000A"], "\U00020000a"),
    ("upper", [""], ""),
    ("concat", [["a", "\u00e9"]], "a,\u00e9"),
    ("plus", [2**62, 1], 2**62 + 1),
    ("plus", [2**63 - 2, 5], 2**63 + 3),
    ("mul", [2**62, 4], 2**64),
    ("plus", [0.5, 0.25], 0.75),
    ("plus", [0.1, 0.2], 0.3),
    ("minus", [100, 0.5], 99.5),
    ("mul", [1.5, 2], 3),
    ("rem", [7, 3], 1),
    ("abs", [-1.5], 1.5),
    ("max", [[1, 3, 2]], 3),
    ("max", [[]], None),
    ("min_set", [[]], None),
    ("less", [[1, 2, 3]], []),
]
WRONG: list[tuple[str, list[Any]]] = [
    ("match", ["a\u0000b", "a"]),
    ("match", [r"\C", "a"]),
    ("match", [r"\pL", "a"]),
    ("match", [r"a\\\PL", "a"]),
    ("match", ["(", "a"]),
    ("match", [7, "a"]),
    ("find", ["\u0000", "a"]),
    ("glob", ["(?i)k", "k"]),
    ("glob", ["{a,b}", "a"]),
    ("glob", ["\u00e9", "\u00e9"]),
    ("lower", [1]),
    ("concat", ["a"]),
    ("concat_set", [["b", "a"]]),
    ("plus", ["a", 1]),
    ("minus", [{}, 1]),
    ("rem", [1, 0]),
    ("rem", [1.5, 1]),
    ("abs", ["a"]),
    ("max", [{}]),
    ("max", [7]),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """All rules in one module."""
    directory = tmp_path_factory.mktemp("guards")
    rules = (
        f'decision := v if {{\n\tinput.rule == "{name}"\n\tq := input.q\n\tv := {rule}\n}}\n'
        for name, rule in RULES.items()
    )
    (directory / "main.rego").write_text("package detent.main\n\n" + "\n".join(rules))
    (directory / ".manifest").write_text(json.dumps({"revision": "r", "rego_version": 1}))
    compiled = compile_bundle(StagedBundle(directory, "r"), find_opa().path)
    machine = Machine(compiled.program)
    yield machine
    machine.close()


def ask(machine: Machine, rule: str, question: list[Any]) -> Any:
    """Evaluate one of the rules; None is undefined."""
    document = json.dumps({"rule": rule, "q": question}, ensure_ascii=False).encode()
    results = json.loads(machine.evaluate(0, document))
    return results[0]["result"] if results else None


@pytest.mark.parametrize(("rule", "question", "result"), RIGHT)
def test_what_is_the_same_in_opa_passes(
    machine: Machine, rule: str, question: list[Any], result: Any
) -> None:
    """By OPA's code or by ours; undefined only where OPA is undefined."""
    assert ask(machine, rule, question) == result


@pytest.mark.parametrize(("rule", "question"), WRONG)
def test_what_fails_or_differs_ends_the_evaluation(
    machine: Machine, rule: str, question: list[Any]
) -> None:
    """And the next question is answered."""
    with pytest.raises(Stopped, match="failed"):
        ask(machine, rule, question)
    assert ask(machine, "plus", [1, 1]) == 2


def test_a_function_of_another_type_is_unsafe() -> None:
    """A builtin takes and gives addresses of 32 bits."""
    kind = FunctionType(b"", b"\x7e", b"\x7f")
    module = Module((), (kind,), (), (), {}, ())
    with pytest.raises(Unsafe, match="not of the type"):
        Place(module, 0, -1).arguments  # noqa: B018  # it is the reading that raises


def test_what_is_needed_and_missing_is_unsafe() -> None:
    """A function of OPA's, and a number of ours."""
    module = Module((), (FunctionType(b"", b"\x7f", b"\x7f"),), (), (), {}, ())
    with pytest.raises(Unsafe, match="opa_value_type is missing"):
        Place(module, 0, -1).call("opa_value_type")
    with pytest.raises(Unsafe, match="not known to us"):
        Place(module, 0, -1).asking_us  # noqa: B018  # it is the reading that raises
