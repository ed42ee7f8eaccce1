"""One instance of a module: a body in, an answer out, bounded in memory and cut from outside.

OPA documentation, "WebAssembly", ABI 1.2 and newer: `opa_eval` resets the heap and evaluates once.
An instance that stopped in the middle is never used again: `renew` makes another.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from wasmtime import (
    Config,
    Engine,
    Func,
    FuncType,
    Limits,
    Linker,
    Memory,
    MemoryType,
    Module,
    Store,
    Trap,
    TrapCode,
    ValType,
    WasmtimeError,
)

from proxy.pdp.wasm.guards import ABORT, DISPATCHERS

PAGE_BYTES = 64 * 1024
FIRST_PAGES = 5
MAX_MEMORY_BYTES = 64 * 1024 * 1024
MAX_TEXT_BYTES = 64 * 1024
WORN_BYTES = 8 * 1024 * 1024  # a memory that grew by more than this is given back
UNCUT_TICKS = 1 << 62  # more interrupts than there will ever be

Builtin = Callable[..., Any]


class Stopped(Exception):
    """The evaluation gave no answer: a builtin failed, memory ran out, it was cut."""


class Interrupted(Stopped):
    """It was cut from outside."""


@dataclass(frozen=True, slots=True)
class Program:
    """What an instance is made from: the module as machine code, its data as JSON, our builtins.

    `failures` names what aborts with a negative address.
    """

    code: bytes
    data: bytes
    builtins: Mapping[int, tuple[str, Builtin]]
    failures: Mapping[int, str]


def new_engine() -> Engine:
    """Return an engine whose instances can be interrupted."""
    config = Config()
    config.epoch_interruption = True
    return Engine(config)


def _never() -> bool:
    return False


class Machine:
    """One instance at a time, for one thread at a time; `interrupt` may be called from any."""

    def __init__(self, program: Program, max_memory_bytes: int = MAX_MEMORY_BYTES) -> None:
        self._program = program
        self._max_memory_bytes = max_memory_bytes
        self._engine = new_engine()
        self._module = Module.deserialize(self._engine, program.code)
        self._instance: _Instance | None = None
        self.renew()

    @property
    def is_spent(self) -> bool:
        """Whether there is no instance: `renew`, or the next evaluation has to make one first."""
        return self._instance is None

    def renew(self) -> None:
        """Put a fresh instance in the place of whatever is there. Raises Stopped.

        It reads the data anew, which may take longer than a decision may; no `interrupt` cuts it.
        """
        self.close()
        try:
            self._instance = _Instance(
                self._engine, self._module, self._program, self._max_memory_bytes
            )
        except WasmtimeError as error:
            raise Stopped("the module cannot be started") from error

    def evaluate(
        self, entry_point: int, document: bytes, is_cut: Callable[[], bool] = _never
    ) -> bytes:
        """Evaluate one entry point on a JSON document; return its results as JSON.

        An `interrupt` before the evaluation began is not seen by it; `is_cut` is, so whoever cuts
        sets that first. Raises Stopped; then the instance is gone, and the next evaluation makes
        another.
        """
        instance, is_kept = self._taken(), False
        try:
            answer = instance.evaluate(entry_point, document, is_cut)
            is_kept = instance.grown_bytes <= WORN_BYTES
        finally:
            if is_kept:
                self._instance = instance
            else:
                instance.close()
        return answer

    def names(self, function: str) -> dict[str, int]:
        """Return what the module tells of itself: `builtins` or `entrypoints`, with numbers.

        Raises Stopped.
        """
        instance = self._taken()
        self._instance = instance
        return instance.names(function)

    def _taken(self) -> "_Instance":
        if self._instance is None:
            self.renew()
        instance, self._instance = self._instance, None
        if instance is None:
            raise Stopped("there is no instance")
        return instance

    def interrupt(self) -> None:
        """Cut the evaluation under way."""
        self._engine.increment_epoch()

    def close(self) -> None:
        """Give the memory back."""
        instance, self._instance = self._instance, None
        if instance is not None:
            instance.close()


class _Instance:
    """A module with its memory."""

    def __init__(
        self, engine: Engine, module: Module, program: Program, max_memory_bytes: int
    ) -> None:
        self._program = program
        self._why: Stopped | None = None
        self._store = Store(engine)
        with ExitStack() as undo:  # the library holds a store that is not closed, for ever
            undo.callback(self._store.close)
            self._store.set_limits(memory_size=max_memory_bytes)
            self._store.set_epoch_deadline(UNCUT_TICKS)
            most = max_memory_bytes // PAGE_BYTES
            self._memory = Memory(self._store, MemoryType(Limits(FIRST_PAGES, most)))
            exports = self._linker(engine).instantiate(self._store, module).exports(self._store)
            self._functions = {
                name: function for name, function in exports.items() if isinstance(function, Func)
            }
            self._data = self._parse(program.data)
            self._heap = int(self._call("opa_heap_ptr_get"))
            self._first_bytes = self._memory.data_len(self._store)
            undo.pop_all()

    @property
    def grown_bytes(self) -> int:
        return self._memory.data_len(self._store) - self._first_bytes

    def evaluate(self, entry_point: int, document: bytes, is_cut: Callable[[], bool]) -> bytes:
        self._reach(self._heap + len(document))
        self._memory.write(self._store, document, self._heap)
        size, end = len(document), self._heap + len(document)
        self._store.set_epoch_deadline(1)
        if is_cut():
            raise Interrupted("it was cut")
        answer = self._call(
            "opa_eval", 0, entry_point, self._data, self._heap, size, _aligned(end), 0
        )
        return self._text(answer, MAX_TEXT_BYTES + 1)

    def names(self, function: str) -> dict[str, int]:
        told: dict[str, int] = json.loads(
            self._text(self._call("opa_json_dump", self._call(function)))
        )
        return told

    def close(self) -> None:
        self._functions.clear()
        self._store.close()

    def _linker(self, engine: Engine) -> Linker:
        linker, i32 = Linker(engine), ValType.i32()
        linker.define(self._store, "env", "memory", self._memory)
        given: dict[str, tuple[FuncType, Builtin]] = {ABORT: (FuncType([i32], []), self._abort)}
        for count, name in enumerate(DISPATCHERS):
            kind = FuncType([i32] * (count + 2), [i32])
            given[name] = (kind, self._builtin)
        for name, (kind, function) in given.items():
            linker.define(self._store, "env", name, Func(self._store, kind, function))
        return linker

    def _abort(self, address: int) -> None:
        failed = self._program.failures.get(address)
        if failed is not None:
            raise self._stopped(f"{failed} failed")
        raise self._stopped(self._text(address).decode(errors="replace"))

    def _stopped(self, why: str) -> Stopped:
        """Return what ends an evaluation from inside.

        It is kept: wasmtime's library hands exceptions over in a place that all threads share.
        """
        self._why = Stopped(why)
        return self._why

    def _builtin(self, number: int, _context: int, *arguments: int) -> int:
        name, builtin = self._program.builtins.get(number, ("", None))
        if builtin is None:
            raise self._stopped(f"there is no builtin {number}")
        dumped = (self._text(self._call("opa_value_dump", one)) for one in arguments)
        try:
            result = builtin(*(json.loads(one, parse_float=Decimal) for one in dumped))
        except (ArithmeticError, RecursionError, TypeError, ValueError) as error:
            raise self._stopped(f"{name} failed") from error
        is_decimal = isinstance(result, Decimal)
        # Without exponents and escapes: the module takes them for others.
        text = f"{result:f}" if is_decimal else json.dumps(result, ensure_ascii=False)
        return self._parse(text.encode())

    def _parse(self, text: bytes) -> int:
        """Return the address of a JSON document that is now a value in the memory."""
        address = int(self._call("opa_malloc", len(text)))
        self._memory.write(self._store, text, address)
        value = int(self._call("opa_json_parse", address, len(text)))
        if not value:
            raise Stopped("a value cannot be read")
        return value

    def _text(self, address: int, most: int = MAX_TEXT_BYTES) -> bytes:
        """Return the bytes up to a zero, or `most` of them."""
        found = bytes(self._memory.read(self._store, address, address + most))
        return found.partition(b"\0")[0]

    def _reach(self, end: int) -> None:
        """Have a memory that goes further than `end`. Raises Stopped."""
        missing = end - self._memory.data_len(self._store)
        if missing < 0:
            return
        try:
            self._memory.grow(self._store, missing // PAGE_BYTES + 1)
        except WasmtimeError:
            raise Stopped("the input is larger than the memory") from None

    def _call(self, name: str, *arguments: int) -> int:
        try:
            result: int = self._functions[name](self._store, *arguments)
        except (Stopped, Trap, WasmtimeError) as error:
            if self._why is not None:
                raise self._why from None
            if isinstance(error, Trap) and error.trap_code is TrapCode.INTERRUPT:
                raise Interrupted("it was cut") from error
            raise Stopped(f"it could not go on ({type(error).__name__})") from error
        return result


def _aligned(address: int) -> int:
    return (address + 7) & ~7
