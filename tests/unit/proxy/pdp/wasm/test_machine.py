"""One instance: bounded, cut, renewed, and never used again after it stopped."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from wasmtime import Engine, Store

from proxy.pdp.wasm import machine as wasm
from proxy.pdp.wasm.compile import Compiled
from proxy.pdp.wasm.machine import Interrupted, Machine, Program, Stopped
from tests.harness.endless import ENDLESS

MIB = 1024 * 1024
RULES = (
    """
decision := "fine" if input.ask == "fine"

decision := "at last" if {
	input.ask == "slow"
	endless
}

decision := count(numbers.range(1, input.size)) if input.ask == "large"

decision := sprintf("%v", [input.text]) if input.ask == "ours"

decision := input.text if input.ask == "echo"

decision := input.one if input.ask == "two"

decision := input.other if input.ask == "two"
"""
    + ENDLESS
)


@pytest.fixture
def program(compiled: Callable[..., Compiled]) -> Program:
    """The rules as a program; `decision` is entry point 0."""
    return compiled(RULES).program


@pytest.fixture
def machine(program: Program) -> Iterator[Machine]:
    """A machine with 8 MiB."""
    machine = Machine(program, 8 * MIB)
    yield machine
    machine.close()


def fine(machine: Machine) -> bool:
    """Whether an answer comes."""
    return machine.evaluate(0, b'{"ask":"fine"}') == b'[{"result":"fine"}]'


def test_an_answer_is_the_list_of_results(machine: Machine) -> None:
    """Of an undefined rule it is empty, also for what is no JSON."""
    assert fine(machine)
    assert machine.evaluate(0, b'{"ask":"nothing"}') == b"[]"
    assert machine.evaluate(0, b"{") == b"[]"


def test_a_large_input_makes_the_memory_grow(machine: Machine) -> None:
    """It is read whole, and the instance goes on."""
    text = "x" * MIB
    assert b"x" * 1000 in machine.evaluate(0, b'{"ask":"echo","text":"%b"}' % text.encode())
    assert fine(machine)


def test_an_input_beyond_the_memory_is_no_answer(machine: Machine) -> None:
    """More than the cap cannot be had."""
    with pytest.raises(Stopped, match="larger than the memory"):
        machine.evaluate(0, b'{"text":"%b"}' % (b"x" * (8 * MIB)))
    assert fine(machine)


def test_a_rule_that_takes_the_memory_is_stopped(machine: Machine) -> None:
    """And the next question gets an answer."""
    with pytest.raises(Stopped, match="malloc"):
        machine.evaluate(0, b'{"ask":"large","size":1000000}')
    assert fine(machine)


def test_a_memory_that_grew_much_is_given_back(program: Program) -> None:
    """The instance is replaced by a fresh one."""
    machine = Machine(program)
    before = machine._instance
    machine.evaluate(0, b'{"ask":"large","size":200000}')
    assert machine._instance is None
    assert fine(machine)
    assert machine._instance is not before
    machine.close()


def test_an_endless_evaluation_is_cut(program: Program) -> None:
    """From another thread, at once, and only that one."""
    machine = Machine(program)
    timer = threading.Timer(0.2, machine.interrupt)
    timer.start()
    with pytest.raises(Interrupted):
        machine.evaluate(0, b'{"ask":"slow"}')
    timer.join()
    assert fine(machine)
    machine.close()


def test_a_cut_that_comes_too_early_harms_nobody(machine: Machine) -> None:
    """It counts for what is under way."""
    machine.interrupt()
    assert fine(machine)


def test_two_values_of_one_rule_are_no_answer(machine: Machine) -> None:
    """A conflict ends the evaluation as in OPA."""
    assert machine.evaluate(0, b'{"ask":"two","one":1,"other":1}') == b'[{"result":1}]'
    with pytest.raises(Stopped, match="conflict"):
        machine.evaluate(0, b'{"ask":"two","one":1,"other":2}')


def test_a_builtin_of_ours_is_called(machine: Machine) -> None:
    """Its result is a value of the module."""
    answer = machine.evaluate(
        0, '{"ask":"ours","text":["\u00e9"]}'.encode().replace("\u00e9".encode(), b"e")
    )
    assert answer == rb'[{"result":"[\"e\"]"}]'


def test_a_builtin_of_ours_that_fails_ends_it(machine: Machine) -> None:
    """With its name."""
    with pytest.raises(Stopped, match="sprintf failed"):
        machine.evaluate(0, '{"ask":"ours","text":["\u00e9"]}'.encode())
    assert fine(machine)


def test_a_builtin_that_nobody_has_ends_it(program: Program) -> None:
    """Load refuses such a module; this is the last line."""
    machine = Machine(replace(program, builtins={}))
    with pytest.raises(Stopped, match="there is no builtin"):
        machine.evaluate(0, b'{"ask":"ours","text":""}')
    machine.close()


@pytest.mark.parametrize("change", [{"data": b"{"}, {"data": b"x" * (9 * MIB)}])
def test_a_program_that_cannot_be_started_is_no_machine(program: Program, change: Any) -> None:
    """Its data are no JSON, or larger than the memory."""
    with pytest.raises(Stopped):
        Machine(replace(program, **change), 8 * MIB)


def test_a_machine_that_cannot_be_started_holds_no_memory(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library itself never lets go of a store that is not closed."""
    opened: list[Store] = []

    def opening(engine: Engine) -> Store:
        opened.append(Store(engine))
        return opened[-1]

    monkeypatch.setattr(wasm, "Store", opening)
    with pytest.raises(Stopped):
        Machine(replace(program, data=b"{"), 8 * MIB)
    with pytest.raises(ValueError, match="already closed"):
        opened[0].ptr()


def test_a_renewal_is_never_cut(program: Program) -> None:
    """It may take longer than any deadline; a machine that never got through it would be lost."""
    machine = Machine(replace(program, data=b"[%b0]" % (b"0," * 100_000)))
    renewing = threading.Thread(target=machine.renew)
    renewing.start()
    while renewing.is_alive():
        machine.interrupt()
    assert not machine.is_spent
    machine.close()


def test_a_memory_too_small_for_the_module_is_no_machine(program: Program) -> None:
    """Wasmtime says so."""
    with pytest.raises(Stopped):
        Machine(program, MIB // 8)


def test_an_input_that_is_too_deep_is_no_answer(machine: Machine) -> None:
    """The stack of the module ends before anything of ours is touched."""
    deep = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(Stopped):
        machine.evaluate(0, deep)
    assert fine(machine)
