"""What OPA and its linter do not know of our policies: reasons, suites, negation, lists."""

import re
from pathlib import Path

import pytest

from proxy.model.reasons import REASONS
from proxy.pdp.strict_yaml import load

POLICIES = Path(__file__).parents[2] / "policies"
RULES = sorted(folder.name for folder in (POLICIES / "rules").iterdir())
CODE = sorted(file for file in POLICIES.rglob("*.rego") if not file.name.endswith("_test.rego"))

SET = re.compile(r"^(allow|deny_tool|deny|hold|obligations) contains ", re.MULTILINE)
ID = re.compile(r'"([a-z]+(?:-[a-z]+)+)"')


def reasons() -> dict[str, str]:
    """Return every reason with its sentence."""
    file = POLICIES / "reasons/data.yaml"
    table: dict[str, str] = load(file.read_bytes(), file.name)
    return table


def rule(name: str) -> str:
    """Return the code of a rule."""
    return (POLICIES / f"rules/{name}/{name}.rego").read_text()


def test_every_reason_stands_in_the_table_and_is_used() -> None:
    """No id without a sentence, no sentence without a use."""
    used = {reason for file in CODE for reason in ID.findall(file.read_text())}
    assert used == set(reasons())


def test_the_table_is_sorted_and_each_sentence_is_one() -> None:
    """A reason is found at a glance."""
    table = reasons()
    assert list(table) == sorted(table)
    assert all(sentence[0].isupper() and sentence[-1] == "." for sentence in table.values())


def test_an_id_means_the_same_to_the_gateway() -> None:
    """What both refuse with reads alike."""
    shared = set(reasons()) & set(REASONS)
    assert {"budget-exhausted", "default-deny", "unknown-tool"} <= shared
    assert reasons()["default-deny"] == REASONS["default-deny"].sentence
    assert reasons()["unknown-tool"] == REASONS["unknown-tool"].sentence


@pytest.mark.parametrize("name", RULES)
def test_a_page_names_every_reason_of_its_rule(name: str) -> None:
    """A reader of a refusal finds it."""
    page = (POLICIES / f"rules/{name}/README.md").read_text()
    assert [reason for reason in ID.findall(rule(name)) if f"`{reason}`" not in page] == []


@pytest.mark.parametrize("name", RULES)
def test_a_suite_shows_every_reason_of_its_rule(name: str) -> None:
    """And one call that passes."""
    suite = (POLICIES / f"suites/{name}.yaml").read_text()
    other = {"effect-mismatch", "action-unknown"}  # the gateway cannot be made to send these
    missing = [reason for reason in ID.findall(rule(name)) if reason not in suite]
    assert set(missing) <= other
    assert "verdict: allow" in suite or name in {"irreversible", "unknown_tool"}


@pytest.mark.parametrize("name", RULES)
def test_main_misses_a_rule_that_is_gone(name: str) -> None:
    """Each set of a rule is named in main.rego, so that its loss refuses every call."""
    main = (POLICIES / "main.rego").read_text()
    sets = set(SET.findall(rule(name)))
    assert sets
    assert all(f"\tdata.detent.rules.{name}.{filled}\n" in main for filled in sets)


@pytest.mark.parametrize("file", CODE, ids=lambda file: file.stem)
def test_a_negation_holds_for_what_is_missing(file: Path) -> None:
    """Without this import `not f(g(x))` does not fire when g(x) is undefined."""
    text = file.read_text()
    assert "not " not in re.sub(r"#.*", "", text) or "import future.keywords.not" in text
