"""Reason ids and obligations."""

from collections.abc import Callable

import pytest

from proxy.pdp.lint.modules import Source
from proxy.pdp.lint.vocabulary import (
    UNKNOWN_OBLIGATION,
    UNKNOWN_REASON,
    UNREADABLE_REASON,
    UNUSED_REASON,
    obligations,
    reasons,
)

Parsed = Callable[..., Source]
TABLE = {"too-big": "It is too big."}
READ = {
    "written": 'deny contains reasons.of("too-big") if input.x',
    "about": 'deny contains reasons.about("too-big", "x") if input.x',
    "an object": 'deny contains {"id": "too-big", "message": "Big."} if input.x',
    "a table": 'deny contains reasons.of(ids[k]) if some k in ["a"]\n\nids := {"a": "too-big"}',
    "a list": 'deny contains reasons.of(ids[_]) if input.x\n\nids := ["too-big"]',
    "a variable": 'deny contains reasons.of(id) if id := ids[_]\n\nids := {"too-big"}',
    "a function": 'deny contains reasons.of(f(1)) if input.x\n\nf(x) := "too-big" if x',
    "a rule": 'deny contains reasons.of(id) if input.x\n\nid := "too-big"',
    "in a body": 'deny contains r if { input.x; r := reasons.of("too-big") }',
    "elsewhere": 'default decision := {"reasons": [{"id": "too-big", "message": "Big."}]}',
}


@pytest.mark.parametrize("body", READ.values(), ids=READ.keys())
def test_an_id_of_the_table_is_known_however_it_is_given(parsed: Parsed, body: str) -> None:
    """And its sentence has a use."""
    assert list(reasons(parsed(body + "\n"), TABLE)) == []


@pytest.mark.parametrize(
    "body", [READ[name] for name in READ if name != "elsewhere"], ids=lambda body: body[:40]
)
def test_an_id_without_a_sentence_is_found(parsed: Parsed, body: str) -> None:
    """However it is given."""
    source = parsed(body.replace("too-big", "too-small") + "\n")
    found = [one for one in reasons(source, {}) if one.rule == UNKNOWN_REASON]
    assert [one.problem for one in found] == ["no sentence is written for too-small"]
    assert found[0].file == "rules/one/one.rego"


@pytest.mark.parametrize(
    "body",
    [
        "deny contains reasons.of(input.id)",
        'deny contains reasons.of(concat("-", ["a", "b"])) if input.x',
        'deny contains reasons.of(id) if some id in ["too-big"]',
        'deny contains "too-big" if input.x == "y"',
        "deny contains reasons.of(7) if input.x",
        "deny contains reasons.of(n) if input.x\n\nn := 7",
    ],
)
def test_an_id_that_cannot_be_read_is_told(parsed: Parsed, body: str) -> None:
    """It could be any."""
    found = [one.rule for one in reasons(parsed(body + "\n"), {})]
    assert found == [UNREADABLE_REASON]


def test_a_sentence_without_a_use_is_told_at_the_table(parsed: Parsed) -> None:
    """It would be read as something the policy says."""
    (found,) = reasons(parsed("a := 1\n"), TABLE)
    assert (found.file, found.rule) == ("reasons/data.yaml", UNUSED_REASON)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('obligations contains {"type": "mask", "path": "/x"} if input.x', None),
        ('obligations contains {"type": "blur"} if input.x', "no obligation blur"),
        ('obligations contains {"type": input.x}', "cannot be read"),
        ('obligations contains {"path": "/x"} if input.x', "cannot be read"),
        ('obligations contains "mask" if input.x', "cannot be read"),
        ('deny contains {"id": "x", "type": "blur"} if input.x', None),
    ],
)
def test_an_obligation_is_one_the_gateway_knows(
    parsed: Parsed, body: str, problem: str | None
) -> None:
    """Any other would deny every such call."""
    found = list(obligations(parsed(body + "\n"), frozenset({"mask"})))
    assert [one.rule for one in found] == [UNKNOWN_OBLIGATION] * (problem is not None)
    assert all(str(problem) in one.problem for one in found)
