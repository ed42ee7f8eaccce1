"""What becomes of a module: failing builtins end it, unknown calls refuse it."""

from collections.abc import Callable
from typing import Any

import pytest

from proxy.pdp.wasm.binary import Malformed, read_module, sized, vector, write_module
from proxy.pdp.wasm.guards import Unsafe
from proxy.pdp.wasm.harden import Native, harden
from proxy.pdp.wasm.machine import Stopped

Evaluate = Callable[..., Any]
NATIVES = {"opa_fails": Native("fails")}
ABORT = b"\x03env\x09opa_abort\x00\x01"
TYPES = [b"\x60\x01\x7f\x01\x7f", b"\x60\x01\x7f\x00"]
NULL, CALLS = b"\x00\x41\x00\x0b", b"\x00\x20\x00\x10%c\x0b"


def module(rule: bytes, called: str = "opa_fails", imported: bytes = ABORT) -> bytes:
    """Write a module: function 0 is opa_abort, 1 is `called`, 2 is a rule, 3 is eval."""
    names = enumerate(["opa_abort", called, "g0.data.x", "eval"])
    listed = vector(bytes([index]) + sized(name.encode()) for index, name in names)
    sections = [
        (1, vector(TYPES)),
        (2, vector([imported])),
        (3, b"\x03\x00\x00\x00"),
        (10, vector(sized(body) for body in (NULL, rule, NULL))),
        (0, b"\x04name\x01" + sized(listed)),
    ]
    return write_module(sections)


def test_a_builtin_keeps_its_index_and_its_code_moves_to_the_end() -> None:
    """So no call has to be changed."""
    hardened = harden(module(CALLS % 1), NATIVES)
    after = read_module(hardened.content)
    assert len(after.bodies) == 4
    assert after.bodies[3] == NULL
    assert after.bodies[1] == CALLS % 1
    assert after.types[4].parameters == b"\x7f"
    assert hardened.failures == {-1: "fails"}


def test_names_are_left_out() -> None:
    """Nothing needs them any more."""
    assert read_module(harden(module(CALLS % 1), NATIVES).content).names == {}


@pytest.mark.parametrize("called", ["opa_new_builtin", "opa_fails_"])
def test_a_call_that_is_not_known_refuses_the_module(called: str) -> None:
    """A newer OPA may have more builtins of its own; unseen, they could fail unseen."""
    with pytest.raises(Unsafe, match=f"{called} is called, and not known"):
        harden(module(CALLS % 1, called), NATIVES)


def test_a_call_of_a_function_without_a_name_refuses_the_module() -> None:
    """It has an index only."""
    with pytest.raises(Unsafe, match="7 is called"):
        harden(module(CALLS % 7), NATIVES)


def test_calls_of_rules_and_of_the_runtime_are_fine() -> None:
    """A rule may call itself as far as we care, and abort."""
    harden(module(CALLS % 2 + CALLS[1:] % 0), NATIVES)


def test_every_instruction_is_read_past_what_follows_it() -> None:
    """A call that hides behind constants and branches is seen."""
    before = b"\x01\x02\x7f\x43\0\0\0\0\x44\0\0\0\0\0\0\0\0\x0e\x01\x00\x00\x28\x02\x08\x11\x00\x00"
    with pytest.raises(Unsafe, match="5 is called"):
        harden(module(before + b"\x10\x05\x0b"), NATIVES)


def test_an_instruction_opa_does_not_write_refuses_the_module() -> None:
    """What cannot be read cannot be looked through."""
    with pytest.raises(Malformed, match="0xfc"):
        harden(module(b"\x00\xfc\x00\x0b"), NATIVES)


def test_a_module_of_something_else_is_refused() -> None:
    """Without opa_abort nothing could be ended."""
    other = b"\x03env\x05other\x00\x01"
    with pytest.raises(Malformed, match="not compiled by OPA"):
        harden(module(NULL, imported=other), NATIVES)


def test_a_deny_rule_with_a_failing_builtin_is_no_allow(evaluate: Evaluate) -> None:
    """The danger itself: without the change this is an allow."""
    rules = (
        'default decision := "allow"\n\ndecision := "deny" if {\n'
        "\tregex.match(input.pattern, input.text)\n}"
    )
    assert evaluate(rules, {"pattern": "^a", "text": "b"}) == "allow"


def test_the_evaluation_ends_with_the_name_of_the_builtin(evaluate: Evaluate) -> None:
    """People look for it in the rules."""
    rules = 'default decision := "allow"\n\ndecision := "deny" if regex.match(input.p, "a")'
    with pytest.raises(Stopped, match=r"regex\.match failed"):
        evaluate(rules, {"p": "("})
