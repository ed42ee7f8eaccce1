"""The boundary inputs of the shipped policies: they reach every rule, from both sides."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from proxy.app.boundaries import boundaries_of
from proxy.app.review import reviewer
from proxy.pdp.find_opa import find_opa
from proxy.pdp.review.outcome import Change
from proxy.pdp.review.questions import of_inputs
from proxy.pipeline.enforce import KNOWN_OBLIGATIONS

ROOT = Path(__file__).parents[3]
POLICIES = ROOT / "policies"
# Only a bundle that is not whole gives it; no input does.
NO_INPUT_GIVES = {"rule-missing"}


OPA = find_opa(tools_dir=ROOT / ".tools" / "bin").path.absolute()
# A file, what is changed in it, and the boundaries that show it.
LOOSENED = {
    "a path is not looked at": (
        "lib/paths/paths.rego",
        ("within(path, root) if {\n\tis_plain(path)", "within(path, root) if {\n\tis_string(path)"),
        {"repo_path: out by .. $scratch", "repo_path: empty segment $scratch"},
    ),
    "a cap is raised": (
        "tools/repo/data.yaml",
        ("min: 1, max: 200", "min: 1, max: 2000"),
        {"max_count: one over 200"},
    ),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("change", LOOSENED)
def test_a_rule_that_is_loosened_shows_at_its_boundary(change: str, tmp_path: Path) -> None:
    """Also where nobody has tried it yet."""
    file, (before, after), labels = LOOSENED[change]
    shutil.copytree(POLICIES, tmp_path / "after")
    text = (tmp_path / "after" / file).read_text()
    assert before in text
    (tmp_path / "after" / file).write_text(text.replace(before, after))
    made = [one for one in boundaries_of(POLICIES, OPA) if one.label.startswith("repo/git_log: ")]
    with reviewer(OPA) as reviewing:
        sides = reviewing.side(POLICIES), reviewing.side(tmp_path / "after")
        review = reviewing.compare(*sides, of_inputs(made))
    shown = {one.label for one in review.differences if Change.PERMISSION in one.changes}
    assert {f"repo/git_log: {label}" for label in labels} <= shown


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_every_reason_is_reached_and_every_tool_is_left_from_inside() -> None:
    """A change of any rule shows on some of them."""
    made = boundaries_of(POLICIES, OPA)
    with reviewer(OPA) as reviewing:
        side = reviewing.side(POLICIES)
        answers = side.answers(OPA, [one.input for one in made], KNOWN_OBLIGATIONS)
    decided = [(one, told) for one, (told, _) in zip(made, answers, strict=True) if told]
    assert len(decided) == len(made)
    inside = [one for one in decided if one[0].label.endswith(": inside")]
    assert [one.label for one, outcome in inside if outcome.verdict == "deny"] == []
    reached = Counter(reason for _, outcome in decided for reason in outcome.reasons)
    assert set(side.catalogue.reasons) - set(reached) == NO_INPUT_GIVES
    assert {why for _, why in answers} == {""}
    assert min(Counter(outcome.verdict for _, outcome in decided).values()) > 50
