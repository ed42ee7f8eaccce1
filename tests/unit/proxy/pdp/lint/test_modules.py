"""Parsing a bundle's source, and what names in it stand for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.lint.modules import Module, Name, Source, parse
from proxy.pdp.lint.nodes import Node, is_ref, nodes_of

Parsed = Callable[..., Source]

HEAD = """\
package detent.rules.one

import data.detent.lib.reasons as why
import input.context.arguments as given

"""


def one(source: Source) -> Module:
    """Return the module of the rule."""
    return next(module for module in source.modules if module.rule_name == "one")


def names(source: Source, rule: int = 0) -> list[Name]:
    """Return what each reference of a rule stands for."""
    module = one(source)
    chosen = module.rules[rule]
    trees = [chosen.value, list(chosen.body)]
    refs: list[Node] = [node for node in nodes_of(trees) if is_ref(node)]
    found = [source.name_of(module, ref, source.locals_of(module, chosen)) for ref in refs]
    return [name for name in found if name[:1] in {("input",), ("data",)}]


def test_a_file_has_its_package_rules_and_comments(parsed: Parsed) -> None:
    """`else` is a definition of its own; tests of the bundle are not there at all."""
    body = "# why\ndefault a := 1\n\na := 2 if input.x else := 3\n\nf(x) := x\n"
    source = parsed(body, {"rules/one/one_test.rego": "package detent.rules.one_test\n"})
    module = one(source)
    assert [file.file for file in source.modules] == ["lib/reasons.rego", "rules/one/one.rego"]
    assert [rule.name for rule in module.rules] == ["a", "a", "a", "f"]
    assert [rule.is_default for rule in module.rules] == [True, False, False, False]
    assert [rule.is_function for rule in module.rules] == [False, False, False, True]
    assert module.comments == {6: "why"}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("a if input.context.arguments.x", ("input", "context", "arguments", "x")),
        ("a if given.x", ("input", "context", "arguments", "x")),
        ("a if why.of", ("data", "detent", "lib", "reasons", "of")),
        ("a if b.x\n\nb := given", ("input", "context", "arguments", "x")),
        ("a if b.x\n\nb if input.y", ("data", "detent", "rules", "one", "b", "x")),
        ("a if { k := input.k; input.a[k] }", ("input", "k")),
        ("a if { some k in [1]; given[k] }", ("input", "context", "arguments", None)),
    ],
)
def test_a_name_is_followed_to_input_or_data(parsed: Parsed, body: str, name: Name) -> None:
    """Through imports, rules that only rename, and steps that are known at run time only."""
    assert name in names(parsed(body + "\n", head=HEAD))


def test_a_variable_that_renames_a_part_of_the_input_is_followed(parsed: Parsed) -> None:
    """In its own body."""
    body = "a if {\n\targuments := input.context.arguments\n\targuments.x == 1\n}\n"
    assert ("input", "context", "arguments", "x") in names(parsed(body))


def test_the_definitions_of_a_name_are_found_across_files(parsed: Parsed) -> None:
    """Functions, rules, and paths through a rule's value."""
    source = parsed("a := 1\n\na := 1 if input.x\n")
    assert len(source.defined(("data", "detent", "rules", "one", "a", "deeper"))) == 2
    assert len(source.defined(("data", "detent", "lib", "reasons", "of"))) == 1
    assert source.defined(("data", "roles", "reader")) == ()
    assert source.defined(("input", "a")) == ()


def test_names_that_go_in_a_circle_have_an_end(parsed: Parsed) -> None:
    """OPA refuses them, after they are parsed."""
    assert names(parsed("a if b\n\nb := c\n\nc := b\n"))[0][-1] in {"b", "c"}


@pytest.mark.parametrize(
    ("name", "is_above"),
    [
        (("data", "detent", "rules"), True),
        (("data", "detent", None, "one", "a"), True),
        (("data", "detent", None, "one", "other"), False),
        (("data", "roles", None), False),
        (("input",), False),
    ],
)
def test_a_path_that_may_lead_to_a_rule_is_told(parsed: Parsed, name: Name, is_above: bool) -> None:
    """A whole package, or a step that is not known."""
    assert parsed("a := 1\n").is_above(name) is is_above


def test_object_get_takes_a_part_of_the_input(parsed: Parsed) -> None:
    """An argument with a default is a value of its own."""
    body = 'a if { b := object.get(input, ["context", "arguments"], {}); b.x }\n'
    value = 'c if { d := object.get(input.context.arguments, "x", 1); d.y }\n'
    source = parsed(body + value)
    found = [source.locals_of(one(source), rule) for rule in one(source).rules]
    assert found == [{"b": ("input", "context", "arguments")}, {}]


def test_only_packages_of_rules_are_rules(parsed: Parsed) -> None:
    """A library is none, and neither is the folder of rules."""
    source = parsed("a := 1\n", {"rules/all.rego": "package detent.rules\n\nx := 1\n"})
    assert [module.rule_name for module in source.modules] == ["", "", "one"]


def test_what_is_not_rego_is_refused_with_its_file(tmp_path: Path, opa: Path) -> None:
    """Nothing is linted in part."""
    (tmp_path / "bad.rego").write_text("package detent.main\n\na := f(\n")
    with pytest.raises(PolicyInvalid, match=r"bad\.rego: cannot be parsed\. Cure: "):
        parse(tmp_path, opa)
