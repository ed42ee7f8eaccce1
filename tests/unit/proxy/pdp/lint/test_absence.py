"""What a missing argument does to a rule."""

from collections.abc import Callable

import pytest

from proxy.pdp.lint.absence import (
    ABSENCE,
    MISSING,
    NEGATION,
    allowed_by_absence,
    missing_arguments,
    negations,
)
from proxy.pdp.lint.modules import Source

Parsed = Callable[..., Source]
REASON = 'contains reasons.of("x") if'

DISARMED = {
    "a comparison": f"deny {REASON} input.context.arguments.n > 5",
    "a name for it": f"deny {REASON} {{\n\tn := input.context.arguments.n\n\tn > 5\n}}",
    "a name for all": f"deny {REASON} {{\n\ta := input.context.arguments\n\ta.n > 5\n}}",
    "a loop": f"deny {REASON} {{\n\tsome x in input.context.arguments.xs\n\tx > 5\n}}",
    "every": f"hold {REASON} every x in input.context.arguments.xs {{ x > 5 }}",
    "a list made of it": f"deny {REASON} count([x | some x in input.context.arguments.xs]) > 0",
    "a key from elsewhere": f"deny {REASON} {{\n\tsome k in [1]\n\tinput.context.arguments[k]\n}}",
    "an operand": f"deny {REASON} f(input.context.arguments.n)\n\nf(x) if x > 1",
    "a rule behind": f"deny {REASON} is_big\n\nis_big if input.context.arguments.n > 5",
    "two rules behind": (
        f"deny {REASON} a\n\na if b\n\na if c\n\nb if d\n\nc if d\n\n"
        "d if input.context.arguments.n == 1"
    ),
    "its message": 'deny contains reasons.about("x", input.context.arguments.n)',
    "an obligation": ('obligations contains {"type": "dry_run"} if input.context.arguments.n == 1'),
    "what came beside": f"deny {REASON} input.context.meta.n > 5",
    "a guard of another": (
        f"deny {REASON} input.context.arguments.n > 5\n\n"
        f"deny {REASON} not input.context.arguments.m"
    ),
    "any item of one": f"deny {REASON} input.context.arguments.xs[_] > 5",
    "a name that begins with a dollar": f'deny {REASON} input.context.arguments["$ref"] == 1',
    "a default that is false": (
        f"deny {REASON} a\n\ndefault a := false\n\na if input.context.arguments.n > 5"
    ),
    "a second need of a rule": (
        f"deny {REASON} not input.context.arguments.n\n\ndeny {REASON} a\n\n"
        "a if { input.context.arguments.n == 1; input.context.arguments.m == 1 }"
    ),
    "one definition of two": (
        f"deny {REASON} a\n\na if input.context.arguments.n == 1\n\na if input.action.dry_run"
    ),
    "not of a not": f"deny {REASON} not a\n\na if not input.context.arguments.n > 5",
    "an empty list made of it": f"deny {REASON} count([1 | not input.context.arguments.n]) == 0",
    "a value instead": (
        f'deny {REASON} a == "x"\n\ndefault a := "y"\n\na := "x" if input.context.arguments.n'
    ),
    "an else": (f"deny {REASON} not a\n\na := false if input.context.arguments.n > 5 else := true"),
    "object.get of all": (
        f'deny {REASON} {{\n\ta := object.get(input.context, "arguments", {{}})\n\ta.n > 5\n}}'
    ),
    "object.get of what may be missing": (
        f'deny {REASON} object.get(input.context.arguments.o, "n", 9) > 5'
    ),
    "a key of what object.get reads": (
        f'deny {REASON} object.get(data.limits[input.context.arguments.n], "max", 0) < 5'
    ),
    "a guard elsewhere": (
        f'deny {REASON} {{ input.resource.tool == "a"; not input.context.arguments.n }}\n\n'
        f'deny {REASON} {{ input.resource.tool == "b"; input.context.arguments.n > 5 }}'
    ),
    "a guard that only holds": (
        f"hold {REASON} not input.context.arguments.n\n\n"
        f"deny {REASON} input.context.arguments.n > 5"
    ),
    "a key in brackets": 'deny["x"] if input.context.arguments.n > 5',
    "a variable in brackets": 'deny[x] if { x := "x"; input.context.arguments.n > 5 }',
}
HIDDEN = {
    "a parameter": f"deny {REASON} f(input.context.arguments)\n\nf(a) if a.n > 5",
    "a parameter below not": f"deny {REASON} not f(input.context)\n\nf(c) if not c.arguments.n",
    "a part of a pattern": f'deny {REASON} {{ {{"arguments": a}} = input.context; a.n > 5 }}',
    "a rule with a condition": f"deny {REASON} a.n > 5\n\na := input.context.arguments if input.x",
    "some of the context": f'deny {REASON} {{ some k, v in input.context; k == "x"; v.n > 5 }}',
    "every of the context": f"deny {REASON} every v in input.context {{ v.n > 5 }}",
    "one by its name": f'deny {REASON} {{ some "n", v in input.context.arguments; v > 5 }}',
    "a list around it": f"deny {REASON} {{ some a in [input.context.arguments]; a.n > 5 }}",
    "a builtin": f'deny {REASON} {{ walk(input.context.arguments, [["n"], v]); v > 5 }}',
    "another input": f"deny {REASON} a with input as {{}}\n\na if input.x",
    "a path that is not known": f"deny {REASON} object.get(input, data.path, {{}}) == 1",
    "a rule that is not known": (
        f"deny {REASON} data.detent.rules[input.x].a\n\na if input.context.arguments.n > 5"
    ),
    "a whole package": (
        f"deny {REASON} {{ p := data.detent.rules; p.one.a }}\n\na if input.context.arguments.n > 5"
    ),
}
ARMED = {
    "a negation": f"deny {REASON} not input.context.arguments.n <= 5",
    "a negation of a rule": (
        f"deny {REASON} not is_small\n\nis_small if input.context.arguments.n < 5"
    ),
    "a default that is told": (f'deny {REASON} object.get(input.context.arguments, "n", 9) > 5'),
    "a path with a default": (
        f'deny {REASON} object.get(input, ["context", "arguments", "n"], 9) > 5'
    ),
    "a rule with a default": (
        f"deny {REASON} is_big\n\ndefault is_big := true\n\n"
        "is_big := false if input.context.arguments.n < 5"
    ),
    "another way to hold": (
        f"deny {REASON} is_bad\n\nis_bad if input.context.arguments.n > 5\n\n"
        "is_bad if not input.context.arguments.n"
    ),
    "a guard beside it": (
        f"deny {REASON} input.context.arguments.n > 5\n\n"
        f"deny {REASON} not input.context.arguments.n"
    ),
    "whichever there are": f"deny {REASON} {{\n\tsome x in input.context.arguments\n\tx == 1\n}}",
    "any of them": f"deny {REASON} input.context.arguments[_] == 1",
    "another part of the input": f"deny {REASON} input.subject.depth > 5",
    "no refusal": f"allow {REASON} input.context.arguments.n == 1",
    "a guard of the same": (
        f'deny {REASON} {{ input.resource.tool == "a"; not input.context.arguments.n }}\n\n'
        f'deny {REASON} {{ input.resource.tool == "a"; input.context.arguments.n > 5 }}'
    ),
    "a name for all": (
        f"deny {REASON} {{\n\ta := input.context.arguments\n\tnot a.n == 5\n\tis_object(a)\n}}"
    ),
    "a value made of it": (
        f"deny {REASON} not n <= 5\n\nn := to_number(input.context.arguments.n)"
    ),
    "itself": f"deny {REASON} a\n\na if b\n\nb if a",
}


@pytest.mark.parametrize("body", DISARMED.values(), ids=DISARMED.keys())
def test_a_refusal_that_an_argument_left_out_disarms_is_found(parsed: Parsed, body: str) -> None:
    """However it is read."""
    found = list(missing_arguments(parsed(body + "\n")))
    assert [finding.rule for finding in found] == [MISSING] * len(found)
    assert found
    assert found[0].file == "rules/one/one.rego"


@pytest.mark.parametrize("body", ARMED.values(), ids=ARMED.keys())
def test_a_refusal_that_fires_without_the_argument_is_left_alone(parsed: Parsed, body: str) -> None:
    """Or one that no argument can disarm."""
    assert list(missing_arguments(parsed(body + "\n"))) == []


@pytest.mark.parametrize("body", HIDDEN.values(), ids=HIDDEN.keys())
def test_what_cannot_be_seen_through_is_found(parsed: Parsed, body: str) -> None:
    """All arguments at once, handed on to where their names are not followed."""
    found = [one.problem for one in missing_arguments(parsed(body + "\n"))]
    assert "which arguments this `deny` needs cannot be seen through" in found


def test_another_name_of_another_file_is_followed(parsed: Parsed) -> None:
    """By its import."""
    library = "package detent.lib.all\n\ngiven := input.context.arguments\n"
    body = f"deny {REASON} data.detent.lib.all.given.n > 5\n"
    (found,) = missing_arguments(parsed(body, {"lib/all.rego": library}))
    assert found.problem == "without arguments.n this `deny` does not fire"


def test_the_argument_and_the_line_are_told(parsed: Parsed) -> None:
    """With the cure."""
    (found,) = missing_arguments(parsed(f"deny {REASON} {{\n\tinput.context.arguments.n > 5\n}}\n"))
    assert found.line == 7
    assert found.problem == "without arguments.n this `deny` does not fire"
    assert "object.get" in found.cure


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (f"allow {REASON} not input.subject.is_guest", [6]),
        (
            f"allow {REASON} {{\n\tinput.subject\n\tnot input.context.arguments.force == true\n}}",
            [8],
        ),
        (f"allow {REASON} not data.closed", []),
        (f"allow {REASON} input.subject.is_staff", []),
        (f"allow {REASON} not a\n\na if input.subject.is_guest", [6]),
        (f"allow {REASON} a\n\na if not input.subject.is_guest", [6]),
        (f"allow {REASON} f(input.subject)\n\nf(s) if not s.is_guest", [6]),
        (f'allow {REASON} not object.get(input.subject, "is_guest", false)', [6]),
        (f'allow {REASON} a == "x"\n\ndefault a := "x"\n\na := input.subject.a', [6]),
        (f'allow {REASON} f("x")\n\nf(x) if not data.closed[x]', []),
        (f"allow {REASON} a\n\na if input.subject.is_staff", []),
        (f"deny {REASON} not input.subject.is_staff", []),
    ],
)
def test_what_is_missing_must_not_permit(parsed: Parsed, body: str, lines: list[int]) -> None:
    """A `not` that reads the input, below `allow`."""
    found = list(allowed_by_absence(parsed(body + "\n")))
    assert [(one.line, one.rule) for one in found] == [(line, ABSENCE) for line in lines]


@pytest.mark.parametrize(
    ("head", "count"),
    [
        ("package detent.rules.one\n\n", 1),
        ("package detent.lib.one\n\n", 1),
        ("package detent.rules.one\n\nimport future.keywords.not\n\n", 0),
    ],
)
def test_a_not_without_its_import_is_told_once_a_file(
    parsed: Parsed, head: str, count: int
) -> None:
    """It does not hold when a call inside is undefined."""
    source = parsed("a if not input.x\n\nb if not input.y\n", head=head)
    found = list(negations(source))
    assert [(one.rule, one.line) for one in found] == [(NEGATION, 3)] * count
