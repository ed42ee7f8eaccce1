"""`detent policy explain` on a log of one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from proxy.pdp.base import DECISION_PATH
from proxy.pdp.review.record import DecisionRecord
from tests.harness.tiny_bundle import DECISION, write

Run = Callable[..., Result]
RULE = """package detent.rules.reads

allow contains {"id": "fine", "message": "Fine."} if {
	input.subject.id == "a"
	not input.resource.manifest.gone
}
"""


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """A log and the policies that decided."""
    asked = {"subject": {"tenant": "acme", "id": "a"}, "resource": {"id": "rec/read"}}
    record = DecisionRecord("dec_1", "now", "acme", DECISION_PATH, asked, DECISION, "sha256:x")
    odd = DecisionRecord("dec_2", "now", "acme", DECISION_PATH, asked, {}, "sha256:x")
    log = tmp_path / "decisions.jsonl"
    log.write_bytes(b"half a line\n" + record.to_line() + odd.to_line())
    bundle = write(write(tmp_path / "bundle"), {"rules/reads.rego": RULE})
    return ["--log", str(log), "--bundle", str(bundle)]


def test_a_decision_is_told_in_words(detent: Run, options: list[str]) -> None:
    """Which rule, where, on what."""
    result = detent("policy", "explain", "dec_1", *options)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "allow: acme/a asked for rec/read at now",
        "decided by sha256:x as dec_1",
        "",
        "reads allows it: fine",
        "  Fine.",
        "  in rules/reads.rego:3",
        "    resource.manifest.gone is missing",
        '    subject.id = "a"',
    ]


def test_machines_get_a_document(detent: Run, options: list[str]) -> None:
    """The same, by member."""
    told = json.loads(detent("policy", "explain", "dec_1", *options, "--json").output)
    assert (told["verdict"], told["fired"][0]["rule"], told["note"]) == ("allow", "reads", "")


@pytest.mark.parametrize(("decision", "told"), [("dec_9", "no such"), ("dec_2", "broken")])
def test_what_cannot_be_explained_is_told(
    detent: Run, options: list[str], decision: str, told: str
) -> None:
    """Exit code 2."""
    result = detent("policy", "explain", decision, *options)
    assert result.exit_code == 2
    assert told in result.output
