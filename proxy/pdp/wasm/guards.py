"""What stands in the place of a builtin: checks of its arguments, the call, a check of its result.

WebAssembly Core Specification 1.0, section 5.4, instruction by instruction. The places of values in
memory are those of OPA's `value.h`: the type in the first byte of a value; length and address of a
string four and eight bytes after it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from proxy.pdp.wasm.binary import Module, signed, unsigned

ABORT = "opa_abort"
DISPATCHERS = tuple(f"opa_builtin{count}" for count in range(5))
TYPE_OF, LENGTH_OF, TO_INTEGER = "opa_value_type", "opa_value_length", "opa_number_try_int"

_NUMBER, _STRING, _ARRAY, _SET = 3, 4, 5, 7
_I32 = b"\x7f"
_IF, _END, _UNREACHABLE, _RETURN = b"\x04\x40", b"\x0b", b"\x00", b"\x0f"
_BLOCK, _LOOP, _AGAIN, _OUT_IF = b"\x02\x40", b"\x03\x40", b"\x0c\x00", b"\x0d\x01"
_IS_ZERO, _EQUAL, _AT_LEAST, _ADD, _AND, _OR = b"\x45", b"\x46", b"\x4f", b"\x6a", b"\x71", b"\x72"
_LOAD_BYTE, _LOAD_NEXT = b"\x2d\x00\x00", b"\x2d\x00\x01"
_LOAD_SIZE, _LOAD_TEXT = b"\x28\x02\x04", b"\x28\x02\x08"
_KEPT_AS_INTEGER = 1
_UNUSED_ADDRESS = 8  # below the stack
_EVERY = range(129)
_GLOB_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@*~=,;#%&<> "


class Unsafe(Exception):
    """A module that cannot be made to fail closed; the text names the function."""


class Guard(Enum):
    """In what a builtin differs from OPA's own, beside what it gives for a failure.

    FRACTIONS: it reckons in another way with what is no integer of 64 bits; of that we are asked.
    NO_SET: it takes the items of a set in another order. ASCII: it knows the letters of an older
    Unicode; of others we are asked. PATTERN: it reads a regular expression up to a zero byte, knows
    one for a single byte (a C after a backslash) and the classes of an older Unicode. GLOB: it
    leaves some characters of a pattern to regular expressions, and has nothing stand for a line
    feed; of a text with one we are asked. EMPTY: of nothing it is undefined, as OPA's, and that is
    no failure.
    """

    FRACTIONS = "fractions"
    NO_SET = "no set"
    ASCII = "ascii"
    PATTERN = "pattern"
    GLOB = "glob"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Place:
    """A function whose body is replaced.

    `failure` is the address it aborts with, `asked` the number by which we know the builtin.
    """

    module: Module
    index: int
    failure: int
    asked: int | None = None

    @property
    def parameters(self) -> range:
        """The locals that hold the arguments; the result's is the next one."""
        return range(len(self.module.types[self.index].parameters))

    def call(self, name: str) -> bytes:
        """Return a call of a function of OPA's. Raises Unsafe when the module has it not."""
        index = self.module.names.get(name, -1)
        if index < 0:
            raise Unsafe(f"{name} is missing")
        return call(index)

    @property
    def abort(self) -> bytes:
        """Return what ends the evaluation."""
        return _const(self.failure) + call(self.module.imports.index(ABORT)) + _UNREACHABLE

    @property
    def asking_us(self) -> bytes:
        """Return a call of the import that asks us instead. Raises Unsafe."""
        if self.asked is None:
            raise Unsafe(f"function {self.index} is not known to us")
        dispatcher = self.module.imports.index(DISPATCHERS[len(self.parameters)])
        return _const(self.asked) + _const(0) + self.arguments + call(dispatcher)

    @property
    def arguments(self) -> bytes:
        """Return what puts the arguments on the stack. Raises Unsafe."""
        kind, count = self.module.types[self.index], len(self.parameters)
        if kind.results != _I32 or kind.parameters != _I32 * count or count >= len(DISPATCHERS):
            raise Unsafe(f"function {self.index} is not of the type of a builtin")
        return b"".join(_get(position) for position in self.parameters)


def guarded(place: Place, work: bytes, guards: Iterable[Guard]) -> bytes:
    """Return a body that checks the arguments, does `work`, and aborts unless all is well.

    Raises Unsafe.
    """
    given, result = frozenset(guards), len(place.parameters)
    three_locals = b"\x01\x03" + _I32
    before = b"".join(_before(place, guard) for guard in Guard if guard in given)
    unless = _unless_empty(place) if Guard.EMPTY in given else b""
    null_aborts = _tee(result) + _IS_ZERO + _IF + unless + place.abort + _END
    after = _unless_integer(place, result, _ask_us(place)) if Guard.FRACTIONS in given else b""
    return three_locals + before + work + null_aborts + after + _get(result) + _END


def call(index: int) -> bytes:
    """Return a call."""
    return b"\x10" + unsigned(index)


def _before(place: Place, guard: Guard) -> bytes:
    """Return what looks at the arguments before the work."""
    match guard:
        case Guard.FRACTIONS:
            asked = _ask_us(place)
            code = b"".join(_unless_integer(place, one, asked) for one in place.parameters)
        case Guard.NO_SET:
            code = _is(place, 1, _SET) + _IF + place.abort + _END
        case Guard.ASCII:
            code = _scan(place, 0, _PLAIN, _ask_us(place))
        case Guard.PATTERN:
            code = _scan(place, 0, _NO_ZERO, escapes=_no_class(place))
        case Guard.GLOB:
            code = _scan(place, 0, _PLAIN_GLOB) + _scan(place, 2, _NO_LINE_FEED, _ask_us(place))
        case Guard.EMPTY:
            code = b""
    return code


def _ask_us(place: Place) -> bytes:
    """Return with what we say, or abort."""
    result = len(place.parameters)
    asked = place.asking_us + _tee(result) + _IS_ZERO + _IF + place.abort + _END
    return asked + _get(result) + _RETURN


def _unless_integer(place: Place, position: int, then: bytes) -> bytes:
    """Do `then` when a local is a number, and not an integer of 64 bits.

    A module without the function that tells them apart has numbers that are kept as integers, and
    numbers that are kept as text.
    """
    if place.module.names.get(TO_INTEGER, -1) >= 0:
        other = _get(position) + _const(_UNUSED_ADDRESS) + place.call(TO_INTEGER)
    else:
        other = _get(position) + _LOAD_NEXT + _const(_KEPT_AS_INTEGER) + b"\x47"
    return _is(place, position, _NUMBER) + _IF + other + _IF + then + _END + _END


def _unless_empty(place: Place) -> bytes:
    """Give null when the first argument is an array or a set without items."""
    is_listing = _is(place, 0, _ARRAY) + _is(place, 0, _SET) + _OR
    is_empty = _get(0) + place.call(LENGTH_OF) + _IS_ZERO
    return is_listing + is_empty + _AND + _IF + _const(0) + _RETURN + _END


def _scan(
    place: Place, position: int, alphabet: int, then: bytes = b"", escapes: bytes = b""
) -> bytes:
    """Do `then`, or abort, when an argument is a string with a byte that is not of the alphabet.

    An alphabet is a number with a bit for each byte up to 127; bit 128 stands for all others.
    `escapes` runs when a backslash is found; the byte after it is passed over.
    """
    here, end = (len(place.parameters) + extra for extra in (1, 2))
    then = _IF + (then or place.abort) + _END
    byte = _get(here) + _LOAD_BYTE
    size = _get(position) + _LOAD_SIZE
    start = _get(position) + _LOAD_TEXT + _tee(here) + size + _ADD + _set(end)
    is_other = byte + _const(0x80) + _AT_LEAST
    halves = b"".join(b"\x42" + signed(_as_signed(alphabet >> shift)) for shift in (0, 64))
    bits = halves + byte + _const(64) + b"\x49\x1b" + byte + _const(63) + _AND + b"\xad\x88\xa7"
    is_unknown = bits + _const(1) + _AND + _IS_ZERO
    refused = b"" if alphabet >> 128 else is_other + then
    checked = is_other + _IS_ZERO + _IF + is_unknown + then + _END
    forward = _get(here) + _const(1) + _ADD + _set(here)
    escaped = byte + _const(ord("\\")) + _EQUAL + _IF + escapes + forward + _END
    step = refused + checked + (escaped if escapes else b"") + forward + _AGAIN
    scan = _get(here) + _get(end) + _AT_LEAST + _OUT_IF + step
    return _is(place, position, _STRING) + _IF + start + _BLOCK + _LOOP + scan + _END * 3


def _no_class(place: Place) -> bytes:
    """Abort on a C, p or P after a backslash: a single byte, or a class of another Unicode."""
    letter = _get(len(place.parameters) + 1) + _LOAD_NEXT
    is_class = letter + _const(0x20) + _OR + _const(ord("p")) + _EQUAL
    is_single_byte = letter + _const(ord("C")) + _EQUAL
    return is_class + is_single_byte + _OR + _IF + place.abort + _END


def _alphabet(characters: Iterable[int]) -> int:
    return sum(1 << character for character in set(characters))


def _as_signed(bits: int) -> int:
    """Return the lowest 64 bits as a signed number."""
    low = bits & (1 << 64) - 1
    return low - (low >> 63 << 64)


_NO_ZERO = _alphabet(_EVERY[1:])
_PLAIN = _alphabet(_EVERY[:-1])
_NO_LINE_FEED = _alphabet(_EVERY) - _alphabet(b"\n")
_PLAIN_GLOB = _alphabet(_GLOB_LETTERS)


def _is(place: Place, position: int, kind: int) -> bytes:
    return _get(position) + place.call(TYPE_OF) + _const(kind) + _EQUAL


def _get(position: int) -> bytes:
    return b"\x20" + unsigned(position)


def _set(position: int) -> bytes:
    return b"\x21" + unsigned(position)


def _tee(position: int) -> bytes:
    return b"\x22" + unsigned(position)


def _const(value: int) -> bytes:
    return b"\x41" + signed(value)
