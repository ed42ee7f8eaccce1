"""What a missing part of the input does to a definition."""

from collections.abc import Callable

import pytest

from proxy.pdp.lint.effects import OPAQUE, Effect, Effects, Need, joined
from proxy.pdp.lint.modules import Name, Source

Parsed = Callable[..., Source]
N = ("input", "context", "arguments", "n")
N_READ = "input.context.arguments.n"
A, B = Need(N, 1), Need(OPAQUE, 2)

EFFECTS: dict[str, tuple[set[Name], set[Name]]] = {
    f"a if {N_READ} > 5": ({N}, set()),
    f"a if not {N_READ} > 5": (set(), {N}),
    f"a if count([1 | {N_READ}]) == 0": ({N}, {N}),
    f"a if every x in {N_READ} {{ x > 5 }}": ({N}, set()),
    f'a if $"{{{N_READ}}}" == "x"': ({N}, {N}),
    f"a if b\n\nb if not {N_READ}": (set(), {N}),
    f"a if b == true\n\nb if not {N_READ}": ({N}, {N}),
    f"a if count(b) == 0\n\nb contains {N_READ}": ({N}, {N}),
    f"a if b with data.x as {N_READ}\n\nb if data.x": ({N}, set()),
    f"a if b\n\nb := false if {N_READ}\n\ndefault b := true": (set(), {N}),
    f"a if b\n\nb if {N_READ} > 5\n\nb if not {N_READ}": (set(), {N}),
    f"a if b\n\nb if {N_READ} > 5\n\nb if {{ data.x; not {N_READ} }}": ({N}, {N}),
    "a if f(input.context.arguments)\n\nf(x) if x.n": ({OPAQUE}, {OPAQUE}),
    "a if is_object(input.context.arguments)": (set(), set()),
    "a if some x in input.context.arguments": (set(), set()),
    "a if input.context.arguments": (set(), set()),
}


@pytest.mark.parametrize(("body", "effect"), EFFECTS.items(), ids=EFFECTS.keys())
def test_absence_switches_a_definition_off_or_on(
    parsed: Parsed, body: str, effect: tuple[set[Name], set[Name]]
) -> None:
    """Or either, where it is not plain which of the two."""
    source = parsed(body + "\n")
    module = next(module for module in source.modules if module.rule_name)
    found = Effects(source).of_rule(module, module.rules[0])
    assert ({one.name for one in found.off}, {one.name for one in found.on}) == effect


def test_a_not_turns_an_effect() -> None:
    """And what is not plain is either."""
    effect = Effect(frozenset({A}), frozenset({B}))
    assert effect.turned == Effect(frozenset({B}), frozenset({A}))
    assert effect.either == Effect(frozenset({A, B}), frozenset({A, B}))
    assert joined([Effect(on=frozenset({B})), Effect(frozenset({A}))]) == effect


def test_an_effect_is_told_in_the_line_that_asks() -> None:
    """Not where the rule behind reads it."""
    assert Effect(frozenset({A})).at(7) == Effect(frozenset({Need(N, 7)}))
