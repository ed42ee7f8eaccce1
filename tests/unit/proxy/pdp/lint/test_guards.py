"""Names of arguments, and definitions that hold without one."""

from collections.abc import Callable

import pytest

from proxy.pdp.lint.guards import guards_of, is_given, is_guarded, may_hold_arguments
from proxy.pdp.lint.modules import Name, Source

Parsed = Callable[..., Source]
N = ("input", "context", "arguments", "n")
READ = "input.context.arguments.n"


@pytest.mark.parametrize(
    ("name", "is_one", "is_whole"),
    [
        (N, True, False),
        (("input", None, None, "n"), True, False),
        (("input", "subject", "id", "n"), False, False),
        (N[:3], False, True),
        (("input", "context", None), False, True),
        (("input",), False, True),
        (("input", "context", "session"), False, False),
        ((), False, False),
    ],
)
def test_an_argument_is_told_from_all_of_them(name: Name, is_one: bool, is_whole: bool) -> None:
    """A step that is not known may be any."""
    assert (is_given(name), may_hold_arguments(name)) == (is_one, is_whole)


@pytest.mark.parametrize(
    ("guard", "is_one"),
    [
        (f"not {READ}", True),
        (f"not is_number({READ})", True),
        (f"not {{ data.y; some x in {READ} }}", True),
        (f"{{ data.x; not {READ} }}", True),
        (f"{{ data.y; not {READ} }}", False),
        (f"not count([x | x := {READ}]) == 0", False),
        ('not object.get(input.context.arguments, "n", false)', False),
        (f"not {READ} with data.y as 1", False),
        ("not input.context.arguments[data.y]", False),
        ("not input.context.arguments.m", False),
        (READ, False),
    ],
)
def test_a_guard_holds_without_the_argument_wherever_the_other_would(
    parsed: Parsed, guard: str, is_one: bool
) -> None:
    """What else it says the other says too."""
    source = parsed(f"a if {{ {READ} > 5; data.x }}\n\na if {guard}\n")
    module = next(module for module in source.modules if module.rule_name)
    guarded, other = module.rules
    assert is_guarded(guarded, N, list(guards_of(source, module, other))) is is_one
