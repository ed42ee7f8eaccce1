"""The syntax tree, on trees that OPA printed."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.pdp.lint.modules import Source
from proxy.pdp.lint.nodes import (
    call_of,
    calls_in,
    domains_in,
    is_negated,
    is_ref,
    line_of,
    steps_of,
)

Parsed = Callable[..., Source]

BODY = """\
deny contains {"id": "x", "message": "x"} if {
	some a in input.a
	b := count(input.b)
	every c in input.c {
		c > b
	}
	not a in input.d
	a
}
"""


@pytest.fixture
def body(parsed: Parsed) -> list[Any]:
    """The expressions of the rule above."""
    (_, module) = parsed(BODY).modules
    return list(module.rules[0].body)


def test_calls_are_found_at_any_depth(body: list[Any]) -> None:
    """As expressions, as terms, inside of `every` and `not`."""
    assert [name for name, _, _ in calls_in(body)] == [
        "internal.member_2",
        "assign",
        "count",
        "gt",
        "internal.member_2",
    ]


def test_what_is_gone_through_is_found(body: list[Any]) -> None:
    """By `some … in`, by `every`, by `in`."""
    last = [str(steps_of(domain)[-1]["value"]) for domain, _ in domains_in(body)]
    assert last == ["a", "c", "d"]


def test_a_negation_is_told_from_a_call(body: list[Any]) -> None:
    """By the keyword of the future; the old one is tested with what it does."""
    assert [is_negated(expression) for expression in body] == [False, False, False, True, False]


def test_lines_count_from_one_and_nothing_is_in_line_nought(body: list[Any]) -> None:
    """The package is in the first."""
    assert [line_of(expression) for expression in body] == [7, 8, 9, 12, 13]
    assert line_of({}) == 0


def test_a_variable_is_a_reference_of_one_step(body: list[Any]) -> None:
    """And no call."""
    variable = body[4]["terms"]
    assert is_ref(variable)
    assert steps_of(variable) == [variable]
    assert call_of(body[4]) is None
    assert not is_ref({"type": "string", "value": "a"})
