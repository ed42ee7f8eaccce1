"""Making a module fail closed: a builtin that fails ends the evaluation.

In a module as OPA compiles it a builtin that fails gives a null pointer, and so an undefined
expression: a deny rule with it would silently not fire. Here the body of every such function is
moved to the end of the module, and what stands in its place calls it and aborts on null. No call
has to be rewritten, since indices stay. Then every call that a rule makes is looked at: what is
neither a function changed in that way, nor one known to give no null for a failure, nor a rule, is
refused.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from proxy.pdp.wasm.binary import (
    CODE,
    CUSTOM,
    FUNCTION,
    Malformed,
    Module,
    Reader,
    read_module,
    sized,
    unsigned,
    vector,
    write_module,
)
from proxy.pdp.wasm.guards import (
    ABORT,
    DISPATCHERS,
    Guard,
    Place,
    Unsafe,
    call,
    guarded,
)

# What rules call beside builtins. None of these fails: null is an end or a missing member.
RUNTIME = frozenset(
    {
        ABORT,
        "opa_array_append",
        "opa_array_with_cap",
        "opa_boolean",
        "opa_mapping_lookup",
        "opa_memoize_get",
        "opa_memoize_init",
        "opa_memoize_insert",
        "opa_memoize_pop",
        "opa_memoize_push",
        "opa_null",
        "opa_number_int",
        "opa_number_ref",
        "opa_number_size",
        "opa_object",
        "opa_object_insert",
        "opa_runtime_error",
        "opa_set",
        "opa_set_add",
        "opa_string_terminated",
        "opa_value_compare",
        "opa_value_get",
        "opa_value_iter",
        "opa_value_length",
        "opa_value_merge",
        "opa_value_number_set_int",
        "opa_value_shallow_copy",
        "opa_value_type",
    }
)

_RULE = re.compile(r"g\d+\.|eval$")
_CALL, _CALL_INDIRECT, _BRANCH_TABLE = 0x10, 0x11, 0x0E

# What follows an opcode (section 5.4): numbers in LEB128, or bytes.
_NUMBERS = {0x02: 1, 0x03: 1, 0x04: 1, 0x0C: 1, 0x0D: 1, _CALL_INDIRECT: 2, 0x41: 1, 0x42: 1}
_NUMBERS |= dict.fromkeys(range(0x20, 0x25), 1) | dict.fromkeys(range(0x28, 0x3F), 2)
_BYTES = {0x43: 4, 0x44: 8}
_BARE = frozenset({0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B, *range(0x45, 0xC0)})


@dataclass(frozen=True, slots=True)
class Native:
    """A builtin that OPA has code for, what guards it, and the number by which we know it.

    `is_replaced` when that code is never run, and we are asked instead.
    """

    builtin: str
    guards: frozenset[Guard] = frozenset()
    asked: int | None = None
    is_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Hardened:
    """The changed module; `failures` names builtins by the address that they abort with."""

    content: bytes
    failures: Mapping[int, str]


def harden(content: bytes, natives: Mapping[str, Native]) -> Hardened:
    """Change a module so that a builtin which fails ends the evaluation.

    `natives` maps functions of OPA's to the builtins they are. Raises Malformed, Unsafe.
    """
    module = read_module(content)
    _check_calls(module, natives.keys())
    bodies, indices = list(module.bodies), list(module.type_indices)
    moved: list[bytes] = []
    failures: dict[int, str] = {}
    for name, native in natives.items():
        index = module.names.get(name, -1)
        if index < len(module.imports):
            continue
        place = Place(module, index, -1 - len(failures), native.asked)
        failures[place.failure] = native.builtin
        own = index - len(module.imports)
        if native.is_replaced:
            work = place.asking_us
        else:
            work = place.arguments + call(len(module.types) + len(moved))
            moved.append(bodies[own])
            indices.append(module.type_indices[own])
        bodies[own] = guarded(place, work, native.guards)
    return Hardened(write_module(_sections(module, indices, [*bodies, *moved])), failures)


def _sections(
    module: Module, indices: list[int], bodies: list[bytes]
) -> Iterator[tuple[int, bytes]]:
    for number, payload in module.sections:
        if number == FUNCTION:
            yield number, vector(unsigned(index) for index in indices)
        elif number == CODE:
            yield number, vector(sized(body) for body in bodies)
        elif number != CUSTOM:
            yield number, payload


def _check_calls(module: Module, builtins: Iterable[str]) -> None:
    """Refuse a module with a rule that calls something that may fail unseen."""
    by_index = {index: name for name, index in module.names.items() if index >= 0}
    by_index |= dict(enumerate(module.imports))
    if "eval" not in module.names or ABORT not in module.imports:
        raise Malformed("it is not compiled by OPA")
    known = RUNTIME | set(builtins) | set(DISPATCHERS)
    rules = {index for index, name in by_index.items() if _RULE.match(name)}
    for index in rules:
        for called in _calls(module.bodies[index - len(module.imports)]):
            name = by_index.get(called, "")
            if name not in known and called not in rules:
                raise Unsafe(f"{name or called} is called, and not known to fail closed")


def _calls(body: bytes) -> Iterator[int]:
    """Yield the index of every function that a body calls by index. Raises Malformed."""
    reader = Reader(body)
    for _ in range(reader.number()):
        reader.number()
        reader.byte()
    while not reader.is_at_end:
        opcode = reader.byte()
        if opcode == _CALL:
            yield reader.number()
        elif opcode == _BRANCH_TABLE:
            reader.vector(reader.number)
            reader.number()
        elif opcode in _NUMBERS or opcode in _BYTES:
            for _ in range(_NUMBERS.get(opcode, 0)):
                reader.number()
            reader.take(_BYTES.get(opcode, 0))
        elif opcode not in _BARE:
            raise Malformed(f"an instruction OPA does not write: {opcode:#x}")
