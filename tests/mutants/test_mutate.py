"""What is taken away, and what is left."""

import pytest

from proxy.pdp.find_opa import find_opa
from tests.mutants.mutate import Mutant, mutants

RULE = """\
package a

kinds := {"b", "c"}

default d := false

deny contains x if {
	some x in kinds
	not x == "ö"; x != "e"
	every y in kinds {
		y != x
	}
}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Mutant]:
    """Every mutant of the rule above; its test has none."""
    bundle = tmp_path_factory.mktemp("bundle")
    (bundle / "a.rego").write_text(RULE)
    (bundle / "a_test.rego").write_text("package a_test\n\ntest_x if true\n")
    return list(mutants(bundle, find_opa().path.absolute()))


def test_rules_statements_and_elements_are_taken_away(made: list[Mutant]) -> None:
    """Each once, whatever it stands in."""
    assert sorted((one.line, one.removed.splitlines()[0]) for one in made) == [
        (3, '"b"'),
        (3, '"c"'),
        (3, 'kinds := {"b", "c"}'),
        (5, "default d := false"),
        (7, "deny contains x if {"),
        (8, "some x in kinds"),
        (9, 'not x == "ö"'),
        (9, 'x != "e"'),
        (10, "every y in kinds {"),
        (11, "y != x"),
    ]


@pytest.mark.parametrize(
    ("removed", "left"),
    [
        ('"b"', 'kinds := { "c"}'),
        ('"c"', 'kinds := {"b", }'),
        ('not x == "ö"', '\ttrue; x != "e"\n'),
        ('x != "e"', '\tnot x == "ö"; true\n'),
        ("default d := false", "}\n\n\n\ndeny"),
    ],
)
def test_the_rest_of_the_file_stays(made: list[Mutant], removed: str, left: str) -> None:
    """To the byte."""
    (mutant,) = [one for one in made if one.removed == removed]
    assert left in mutant.content.decode()


def test_a_mutant_is_known_by_its_file_and_what_is_gone(made: list[Mutant]) -> None:
    """Not by its line, which moves."""
    assert {one.key for one in made} >= {"a.rego: y != x", "a.rego: every y in kinds { y != x }"}
    assert made[0].name == 'a.rego:3: kinds := {"b", "c"}'
