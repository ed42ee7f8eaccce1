"""A WebAssembly module as its sections: enough to read and to change what OPA compiles.

WebAssembly Core Specification 1.0, chapter 5 "Binary Format". What is not as written there is
refused with Malformed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

HEADER = b"\0asm\1\0\0\0"
CUSTOM, TYPE, IMPORT, FUNCTION, CODE = 0, 1, 2, 3, 10
NAMES = "name"
FUNCTION_NAMES = 1
MAX_LEB_BYTES = 10  # 64 bits, 7 a byte

_SEVEN_BITS, _MORE = 0x7F, 0x80
_SIX_BITS = 0x40

_T = TypeVar("_T")


class Malformed(Exception):
    """The bytes are not a module as OPA writes it."""


class Reader:
    """Reads the primitives of the format from bytes, in their order."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        """Whether everything was read."""
        return self._at >= len(self._content)

    def byte(self) -> int:
        """Read one byte."""
        return self.take(1)[0]

    def take(self, size: int) -> bytes:
        """Read so many bytes."""
        taken = self._content[self._at : self._at + size]
        if len(taken) != size:
            raise Malformed("it ends too soon")
        self._at += size
        return taken

    def number(self) -> int:
        """Read an unsigned LEB128 number; of a signed one, only its place is left behind."""
        value = 0
        for position in range(MAX_LEB_BYTES):
            byte = self.byte()
            value |= (byte & _SEVEN_BITS) << (7 * position)
            if not byte & _MORE:
                return value
        raise Malformed("a number without an end")

    def sized(self) -> bytes:
        """Read bytes after their number."""
        return self.take(self.number())

    def name(self) -> str:
        """Read a name."""
        return self.sized().decode(errors="replace")

    def vector(self, read: Callable[[], _T]) -> list[_T]:
        """Read items after their number."""
        return [read() for _ in range(self.number())]


@dataclass(frozen=True, slots=True)
class FunctionType:
    """How many values a function takes and gives; OPA's are all 32 bits wide where it matters."""

    encoded: bytes
    parameters: bytes
    results: bytes


@dataclass(frozen=True, slots=True)
class Module:
    """What has to be known of a module, and the sections as they are, by id and in their order.

    `types` are the types of all functions, imported ones first; `imports` the names of those;
    `names` the indices of all that have a name; `bodies` the code of those that are not imported.
    """

    sections: tuple[tuple[int, bytes], ...]
    types: tuple[FunctionType, ...]
    type_indices: tuple[int, ...]
    imports: tuple[str, ...]
    names: dict[str, int]
    bodies: tuple[bytes, ...]


def read_module(content: bytes) -> Module:
    """Read a module. Raises Malformed."""
    reader = Reader(content)
    if reader.take(len(HEADER)) != HEADER:
        raise Malformed("no WebAssembly module")
    sections = []
    while not reader.is_at_end:
        sections.append((reader.byte(), reader.sized()))
    known = {number: payload for number, payload in sections if number != CUSTOM}
    if not {TYPE, IMPORT, FUNCTION, CODE} <= known.keys():
        raise Malformed("a section is missing")
    types = _types(Reader(known[TYPE]))
    imports = _imports(Reader(known[IMPORT]))
    functions = Reader(known[FUNCTION])
    indices = functions.vector(functions.number)
    code = Reader(known[CODE])
    every = (*(number for _, number in imports), *indices)
    return Module(
        sections=tuple(sections),
        types=tuple(types[index] for index in every),
        type_indices=tuple(indices),
        imports=tuple(name for name, _ in imports),
        names=_names(payload for number, payload in sections if number == CUSTOM),
        bodies=tuple(code.vector(code.sized)),
    )


def write_module(sections: Iterable[tuple[int, bytes]]) -> bytes:
    """Return the module of these sections."""
    return HEADER + b"".join(bytes([number]) + sized(payload) for number, payload in sections)


def sized(content: bytes) -> bytes:
    """Return bytes after their number."""
    return unsigned(len(content)) + content


def unsigned(value: int) -> bytes:
    """Return a number as unsigned LEB128."""
    encoded = bytearray()
    while value > _SEVEN_BITS:
        encoded.append(value & _SEVEN_BITS | _MORE)
        value >>= 7
    return bytes([*encoded, value])


def signed(value: int) -> bytes:
    """Return a number as signed LEB128."""
    encoded = bytearray()
    while not -_SIX_BITS <= value < _SIX_BITS:
        encoded.append(value & _SEVEN_BITS | _MORE)
        value >>= 7
    return bytes([*encoded, value & _SEVEN_BITS])


def vector(items: Iterable[bytes]) -> bytes:
    """Return items after their number."""
    listed = list(items)
    return unsigned(len(listed)) + b"".join(listed)


def _types(reader: Reader) -> list[FunctionType]:
    def one() -> FunctionType:
        if reader.byte() != 0x60:  # noqa: PLR2004  # func, section 5.3.6
            raise Malformed("a type that is no function")
        parameters, results = reader.sized(), reader.sized()
        return FunctionType(b"\x60" + sized(parameters) + sized(results), parameters, results)

    return reader.vector(one)


def _imports(reader: Reader) -> list[tuple[str, int]]:
    """Return name and type of the imported functions; a memory may be imported beside them."""

    def one() -> tuple[str, int] | None:
        name, kind = (reader.name(), reader.name())[1], reader.byte()
        if kind == 0:
            return name, reader.number()
        if kind != 2:  # noqa: PLR2004  # memory, section 5.5.5
            raise Malformed(f"it imports {name!r}, which is neither function nor memory")
        for _ in range(1 + reader.byte() % 2):
            reader.number()
        return None

    return [imported for imported in reader.vector(one) if imported is not None]


def _names(customs: Iterable[bytes]) -> dict[str, int]:
    """Return the indices of functions by name. Of two of one name none is known."""
    names: dict[str, int] = {}
    for index, name in _named(customs):
        names[name] = -1 if name in names else index
    return names


def _named(customs: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    for payload in customs:
        reader = Reader(payload)
        if reader.name() != NAMES:
            continue
        while not reader.is_at_end:
            kind, entries = reader.byte(), Reader(reader.sized())
            if kind == FUNCTION_NAMES:
                for _ in range(entries.number()):
                    yield entries.number(), entries.name()
