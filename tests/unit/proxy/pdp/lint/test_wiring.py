"""Rules that are heard, and missed when they are gone."""

from collections.abc import Callable

import pytest

from proxy.pdp.lint.modules import Source
from proxy.pdp.lint.wiring import UNHEARD, UNMISSED, wiring

Parsed = Callable[..., Source]
DENY = 'deny contains reasons.of("x") if input.x\n'
MAIN = """\
package detent.main

loaded if {
	data.detent.rules.one.deny
}
"""


def rules_found(source: Source) -> list[str]:
    """Return the ids of what is found."""
    return [finding.rule for finding in wiring(source)]


@pytest.mark.parametrize(
    ("main", "body", "found"),
    [
        (MAIN, DENY, []),
        (MAIN, DENY + DENY, []),
        ("package detent.main\n", DENY, [UNMISSED]),
        (MAIN.replace("one.deny", "one.deny_tool"), DENY, [UNMISSED]),
        (MAIN.replace("one.deny", "other.deny"), DENY, [UNMISSED]),
        (MAIN, DENY + 'hold contains reasons.of("x") if input.y\n', [UNMISSED]),
        (MAIN, "denies := 1\n", [UNHEARD]),
        (MAIN, "deny if input.x\n", [UNHEARD]),
        (MAIN, 'deny := reasons.of("x") if input.x\n', [UNHEARD]),
        (MAIN, 'deny := {reasons.of("x") | input.x}\n', []),
        (MAIN, "default deny := set()\n\n" + 'deny := {reasons.of("x")} if input.x\n', []),
        (MAIN, "default deny := false\n\ndeny if input.x\n", [UNHEARD, UNHEARD]),
    ],
)
def test_a_rule_fills_a_set_that_main_names(
    parsed: Parsed, main: str, body: str, found: list[str]
) -> None:
    """Each set once."""
    assert rules_found(parsed(body, {"main.rego": main})) == found


def test_a_rule_of_two_files_is_one_rule(parsed: Parsed) -> None:
    """The second may hold what the first uses."""
    second = "package detent.rules.one\n\nhalf := 1\n"
    assert rules_found(parsed(DENY, {"main.rego": MAIN, "rules/one/half.rego": second})) == []


@pytest.mark.parametrize("below", ["more", "more.still"])
def test_a_package_below_a_rule_is_not_asked(parsed: Parsed, below: str) -> None:
    """What it refuses is refused by nobody."""
    nested = f"package detent.rules.one.{below}\n\ndeny contains 1 if input.x\n"
    found = list(wiring(parsed(DENY, {"main.rego": MAIN, "rules/one/more.rego": nested})))
    unheard = [one for one in found if one.rule == UNHEARD]
    assert [(one.file, one.line) for one in unheard] == [("rules/one/more.rego", 3)]
    assert "name the package detent.rules.one," in unheard[0].cure


def test_a_library_needs_no_set(parsed: Parsed) -> None:
    """It decides nothing by itself."""
    library = "package detent.lib.two\n\nf(x) := x\n"
    assert rules_found(parsed(DENY, {"main.rego": MAIN, "lib/two.rego": library})) == []
