"""A14 at the doors: a name that becomes a tool's only when somebody folds or normalises it."""

import unicodedata

import pytest

from tests.harness.standing import DOORS, Standing

pytestmark = pytest.mark.asyncio(loop_scope="module")

NORMALISED = {
    "full width": "\uff57rite",
    "full width throughout": "\uff57\uff52\uff49\uff54\uff45",
    "mathematical": "\U0001d430\U0001d42b\U0001d422\U0001d42d\U0001d41e",
    "superscript": "wr\u2071te",
    "circled": "\u24e6rite",
    "composed": "wri\u0301te",
}
LIGATURES = {"file": "\ufb01le", "kill": "\u212aill", "item": "\u0130tem"}
ALIKE = ["Write", "WRITE", "wr\u0456te", "\u0501rop", "dr\u043ep", "i\u03c4em", "w\u0280ite"]
READABLE = ["rite", "writes", "write.", "write-", "rec.write", "rec", "constructor", "__proto__"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "name", [*NORMALISED.values(), *LIGATURES.values(), *ALIKE, *READABLE], ids=ascii
)
async def test_a_name_is_only_itself(standing: Standing, door: str, name: str) -> None:
    """Unknown, whatever NFKC, case folding or a reader would make of it; 0 bytes at the tool."""
    answer = await standing.call_with(door, name, {"text": "x"})
    assert "unknown-tool" in str(answer) or "header-mismatch" in str(answer)
    assert standing.recorder.received == []


async def test_the_names_above_do_become_the_tool_when_folded() -> None:
    """Otherwise the test would show nothing."""
    folded = {unicodedata.normalize("NFKC", name) for name in list(NORMALISED.values())[:5]}
    assert folded == {"write"}
    assert unicodedata.normalize("NFKC", LIGATURES["file"]) == "file"
    assert LIGATURES["kill"].lower() == "kill"
