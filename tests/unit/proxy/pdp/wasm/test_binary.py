"""The primitives of the format, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.pdp.wasm.binary import (
    HEADER,
    Malformed,
    Reader,
    read_module,
    signed,
    sized,
    unsigned,
    vector,
    write_module,
)

TYPES = b"\x01\x60\x01\x7f\x01\x7f"
IMPORTS = b"\x02\x03env\x06memory\x02\x01\x05\x09\x03env\x04help\x00\x00"
SECTIONS = [(1, TYPES), (2, IMPORTS), (3, b"\x01\x00"), (10, b"\x01\x04\x00\x20\x00\x0b")]
NAMES = (0, b"\x04name" + b"\x01" + sized(vector([b"\x00\x04help", b"\x01\x04mine"])))


@given(st.integers(0, 2**64 - 1))
def test_an_unsigned_number_is_read_as_it_was_written(value: int) -> None:
    """Whatever its size."""
    assert Reader(unsigned(value)).number() == value


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_signed_number_keeps_its_sign(value: int) -> None:
    """Its seventh lowest bit of the last byte tells it."""
    encoded = signed(value)
    read = Reader(encoded).number()
    bits = 7 * len(encoded)
    assert (read - (1 << bits) if read >> (bits - 1) else read) == value


def test_a_module_is_read() -> None:
    """Functions have the imported ones first, names their indices."""
    module = read_module(write_module([*SECTIONS, NAMES]))
    assert module.imports == ("help",)
    assert module.names == {"help": 0, "mine": 1}
    assert [len(kind.parameters) for kind in module.types] == [1, 1]
    assert module.bodies == (b"\x00\x20\x00\x0b",)


def test_a_name_that_stands_twice_is_no_name() -> None:
    """Nobody could say which function it means."""
    twice = (0, b"\x04name" + b"\x01" + sized(vector([b"\x00\x01f", b"\x01\x01f"])))
    assert read_module(write_module([*SECTIONS, twice])).names == {"f": -1}


def test_other_names_and_sections_are_passed_over() -> None:
    """Only names of functions are looked at."""
    other = [(0, b"\x04more1"), (0, b"\x04name\x00\x02hi")]
    assert read_module(write_module([*SECTIONS, *other])).names == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0elf\1\0\0\0",
        HEADER,
        HEADER + b"\x01\xff",
        HEADER + b"\x01" + b"\xff" * 11,
        write_module(SECTIONS[:3]),
        write_module([(1, b"\x01\x5f\x00\x00"), *SECTIONS[1:]]),
        write_module([SECTIONS[0], (2, b"\x01\x03env\x01t\x01\x70\x00\x00"), *SECTIONS[2:]]),
    ],
)
def test_what_is_no_module_of_opa_is_refused(content: bytes) -> None:
    """Cut short, of another kind, or with something OPA does not import."""
    with pytest.raises(Malformed):
        read_module(content)
