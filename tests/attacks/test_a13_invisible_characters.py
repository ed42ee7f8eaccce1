"""A13: characters that nobody sees, in names and in keys: NUL, line breaks, bidi, tags."""

import json
from typing import Any

import pytest

from tests.harness.standing import DOORS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVISIBLE = {
    "nul": "\0",
    "cr": "\r",
    "lf": "\n",
    "crlf": "\r\n",
    "tab": "\t",
    "escape": "\x1b[2K",
    "delete": "\x7f",
    "next line": "\x85",
    "bidi override": "\u202e",
    "bidi isolate": "\u2066",
    "zero width": "\u200b",
    "joiner": "\u200d",
    "byte order mark": "\ufeff",
    "tags": "\U000e0064\U000e0065",
    "line separator": "\u2028",
}
FORMS = ["{}write", "wr{}ite", "write{}", "{}"]
OTHER = [
    "",
    " ",
    "write ",
    "wr ite",
    "a" * 129,
    "write/../drop",
    "write\\",
    "*",
    "rec__write",
    "../rec",
]
FLAGGED = {name: char for name, char in INVISIBLE.items() if name not in {"nul", "next line"}}
SCHEMA_DATA = "data"


def refused(answer: Any) -> bool:
    """Whether an answer of any door is a refusal."""
    result = answer.get("result")
    if "jsonrpc" in answer:
        return "error" in answer or bool(result["isError"])
    return "code" in answer or answer["outcome"] == "denied"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("char", INVISIBLE.values(), ids=INVISIBLE)
async def test_a_name_with_what_nobody_sees_is_no_name(
    standing: Standing, door: str, char: str
) -> None:
    """Wherever it stands in it: nothing is cleaned, the tool receives 0 bytes."""
    for form in FORMS:
        assert refused(await standing.call_with(door, form.format(char), {"text": "x"}))
    assert standing.recorder.received == []


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", OTHER, ids=ascii)
async def test_a_name_is_letters_digits_and_a_few_signs(
    standing: Standing, door: str, name: str
) -> None:
    """1 to 128 of them."""
    assert refused(await standing.call_with(door, name, {"text": "x"}))
    assert standing.recorder.received == []


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("char", FLAGGED.values(), ids=FLAGGED)
async def test_such_a_key_changes_nothing(standing: Standing, door: str, char: str) -> None:
    """The policy is told, and denies whatever is not a read: the tool receives 0 bytes."""
    for value in ({f"a{char}b": 1}, [{"deep": {f"{char}": ""}}]):
        answer = await standing.call_with(door, "write", {SCHEMA_DATA: value})
        assert refused(answer)
        assert "suspicious-characters" in json.dumps(answer)
    assert standing.recorder.received == []


@pytest.mark.parametrize("door", DOORS)
async def test_a_value_that_is_read_differently_changes_nothing(
    standing: Standing, door: str
) -> None:
    """In a text too, except for the line breaks and tabs that texts have."""
    for char in ("\u202e", "\u200b", "\U000e0064", "\x1b", "\x7f"):
        answer = await standing.call_with(door, "write", {"text": f"pay {char}1"})
        assert "suspicious-characters" in json.dumps(answer)
    assert standing.recorder.received == []
    assert not refused(await standing.call_with(door, "write", {"text": "a\tb\r\nc"}))
    assert standing.recorder.bodies() == [{"text": "a\tb\r\nc"}]


@pytest.mark.parametrize("door", DOORS)
async def test_nul_is_in_nothing(standing: Standing, door: str) -> None:
    """Neither in a key nor in a value, also of a read: it ends a string for half of all readers."""
    for arguments in ({"text": "a\0b"}, {SCHEMA_DATA: {"a\0b": 1}}):
        assert refused(await standing.call_with(door, "write", arguments))
    assert standing.recorder.received == []
