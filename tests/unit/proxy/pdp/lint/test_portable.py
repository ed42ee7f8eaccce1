"""Builtins, and passes over the history of a session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.lint.modules import Source
from proxy.pdp.lint.portable import (
    BUILTIN,
    HISTORY,
    builtins,
    history,
    known_builtins,
    portable_builtins,
)

Parsed = Callable[..., Source]
RECENT = "input.context.session.recent"


def test_what_calls_out_or_reads_the_clock_is_not_portable(tmp_path: Path, opa: Path) -> None:
    """What OPA has, without what policies may use."""
    refused = known_builtins(tmp_path, opa) - portable_builtins()
    assert {"http.send", "time.now_ns", "rand.intn", "opa.runtime"} <= refused
    assert refused.isdisjoint({"count", "glob.match", "net.cidr_contains", "regex.match"})


def test_without_an_opa_that_tells_its_builtins_there_is_no_lint(tmp_path: Path) -> None:
    """A program that prints something else is none."""
    program = tmp_path / "opa"
    program.write_text("#!/bin/sh\necho '{}'\n")
    program.chmod(0o700)
    with pytest.raises(PolicyInvalid, match="Cure: set policy"):
        known_builtins(tmp_path, program)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("a := time.now_ns()", [6]),
        ("a if {\n\tinput.x\n\tnot time.now_ns() > 5\n}", [8]),
        ("f(x) := [y | y := time.now_ns() + x]", [6]),
        ("a := count([1])", []),
        ("now_ns := 7\n\na := now_ns", []),
    ],
)
def test_a_refused_builtin_is_found_where_it_is_called(
    parsed: Parsed, body: str, lines: list[int]
) -> None:
    """In values, bodies, negations and comprehensions."""
    found = list(builtins(parsed(body + "\n"), frozenset({"time.now_ns"})))
    assert [(one.line, one.rule) for one in found] == [(line, BUILTIN) for line in lines]
    assert all("time.now_ns" in one.problem for one in found)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (f"a if {{\n\tsome s in {RECENT}\n\ts.tool\n}}", [7]),
        (f"a if every s in {RECENT} {{ s.tool }}", [6]),
        (f"a := count([s | some s in {RECENT}])", [6]),
        (f"a if {RECENT}[_].tool", [6]),
        (f"a if {{\n\tsome i\n\t{RECENT}[i].tool\n}}", [8]),
        (f'a if "x" in {RECENT}', [6]),
        (f"a if {{\n\tr := {RECENT}\n\tsome s in r\n\ts.tool\n}}", [8]),
        (f"a if f({RECENT})\n\nf(steps) if {{ some s in steps; s.tool }}", [6]),
        ("a if f(input.context)\n\nf(c) if c.session.recent[_].tool", [6]),
        (f'a if {{ walk({RECENT}, [_, x]); x == "x" }}', [6]),
        ('a if "x" in object.get(input.context, ["session", "recent"], [])', [6]),
        (f"a if {RECENT} != []", []),
        ("a if f(input.context.session.labels)\n\nf(x) if x", []),
        (f"a if {RECENT}[0].tool", []),
        (f"a if {{\n\tsome s in array.slice({RECENT}, 0, 8)\n\ts.tool\n}}", []),
        (f"a if count({RECENT}) > 3", []),
        ("a if { some s in input.context.urls; s.tool }", []),
        ("a if { some i; input.context.arguments[i].recent[_] }", []),
    ],
)
def test_a_pass_over_the_whole_history_is_found(
    parsed: Parsed, body: str, lines: list[int]
) -> None:
    """One step by its number, or a slice of them, is bounded."""
    found = list(history(parsed(body + "\n")))
    assert [(one.line, one.rule) for one in found] == [(line, HISTORY) for line in lines]
