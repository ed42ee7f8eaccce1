"""YAML as OPA reads it, and nothing that can be read in two ways."""

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import PolicyInvalid
from proxy.pdp.strict_yaml import MAX_DEPTH, lines_of_items, load, load_foreign

SCALARS: dict[str, Any] = {
    "yes": "yes",
    "on": "on",
    "n": "n",
    "true": True,
    "False": False,
    "~": None,
    "null": None,
    "": None,
    "7": 7,
    "-7": -7,
    "+7": 7,
    "+": "+",
    "0": 0,
    "_": "_",
    "1.2.3": "1.2.3",
    "0x": "0x",
    "1e": "1e",
    "1.5": 1.5,
    ".5": 0.5,
    "1e3": 1000.0,
    "-1.5E-3": -0.0015,
    "20s": "20s",
    "1:30": "1:30",
    "2026-11-22": "2026-11-22",
    "$scratch": "$scratch",
    "sha256:ab": "sha256:ab",
    "'7'": "7",
    '"true"': "true",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_a_scalar_is_what_the_core_schema_says(text: str, value: Any) -> None:
    """YAML 1.2, section 10.3.2."""
    read = load(f"a: {text}\n".encode(), "x.yaml")["a"]
    assert read == value
    assert type(read) is type(value)


def test_opa_reads_the_same(opa: Path, tmp_path: Path) -> None:
    """One file, one meaning, on both sides."""
    text = "".join(f"k{number}: {scalar}\n" for number, scalar in enumerate(SCALARS))
    (tmp_path / "a").mkdir()
    (tmp_path / "a/data.yaml").write_text(text)
    command = [str(opa), "eval", "--bundle", str(tmp_path), "--format", "raw", "data.a"]
    done = subprocess.run(command, check=True, capture_output=True)
    assert json.loads(done.stdout) == load(text.encode(), "a")


DIGITS = ("7", "10", "017", "08", "0x1F", "0X1f", "0o17", "0b101", "1_000", "1__0", "_1", "1_")
MORE = ("123456789012345", "1234567890123456", "1e100", "1e-300", "1_0.5", ".5_0", "1.e5", "0b-1")
NAMED = (".inf", ".Inf", ".INF", ".nan", ".NaN", "inf", "nan", "Infinity", "0x1p-2", "1:30:15")


def test_what_looks_like_a_number_is_read_as_opa_does_or_refused(opa: Path, tmp_path: Path) -> None:
    """A cap of `0100` would be 100 to those who review it, and 64 to the rules."""
    taken: dict[str, Any] = {}
    for text in (f"{sign}{one}" for one in (*DIGITS, *MORE, *NAMED) for sign in ("", "-", "+")):
        with contextlib.suppress(PolicyInvalid):
            taken[text] = load(f"a: {text}\n".encode(), "x.yaml")["a"]
    lines = "".join(f'"{text}": {text}\n' for text in taken)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/data.yaml").write_text(lines)
    command = [str(opa), "eval", "--bundle", str(tmp_path), "--format", "raw", "data.a"]
    done = subprocess.run(command, check=True, capture_output=True)
    assert json.loads(done.stdout) == taken
    assert {"7", "-10", "123456789012345", "inf"} <= taken.keys()
    assert taken.keys().isdisjoint({"017", "08", "0x1F", "1_000", "1234567890123456", "1e100"})


def test_blocks_and_lists_are_read() -> None:
    """In both styles."""
    read = load(b"a: {b: [1, two]}\nc:\n  - d: 1\n", "x.yaml")
    assert read == {"a": {"b": [1, "two"]}, "c": [{"d": 1}]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2", "x.yaml:2: a stands twice"),
        ("a: {b: 1, b: 1}", "x.yaml:1: b stands twice"),
        ("a: 1\n'a': 2", "x.yaml:2: a stands twice"),
        ("a: &x 1\nb: *x", "x.yaml:2: a reference"),
        ("1: 2", "x.yaml:1: a key that is no text"),
        ("true: 2", "x.yaml:1: a key that is no text"),
        ("? [a]\n: b", "x.yaml:1: a key that is no text"),
        ("<<: {a: 1}", "x.yaml:1: a merge of blocks"),
        ("a: !!binary aaaa", "x.yaml:1: a tag"),
        ("a:\n  b: !!python/name:os.system x", "x.yaml:2: a tag"),
        ("a: !x {}", "x.yaml:1: a tag"),
        ("a: !!int x", "x.yaml:1: a tag"),
        ("a: 1\nb: 0100", "x.yaml:2: 0100 can be read in two ways"),
        ("0x1F: a", "x.yaml:1: 0x1F can be read in two ways"),
        ("a: [", "x.yaml:1: not YAML"),
        ("a: 1\n b: 2", "x.yaml:2: not YAML"),
        ("--- a\n--- b", "x.yaml:2: not YAML"),
        ("a: @", "x.yaml:1: not YAML"),
        ("a: \x00", "x.yaml:1: not YAML"),
    ],
)
def test_what_others_might_read_differently_is_refused(text: str, problem: str) -> None:
    """With file, line and cure."""
    with pytest.raises(PolicyInvalid, match=rf"^{problem}.*Cure: "):
        load(text.encode(), "x.yaml")


@pytest.mark.parametrize("content", [b"\xff\xfea\x00", b"a: \xff", b"\x00"])
def test_only_utf_8_is_read(content: bytes) -> None:
    """Other encodings are not guessed."""
    with pytest.raises(PolicyInvalid, match="not YAML"):
        load(content, "x.yaml")


def test_depth_is_bounded() -> None:
    """Deep enough for every manifest, and no deeper."""
    assert load(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, "x.yaml")
    with pytest.raises(PolicyInvalid, match=f"more than {MAX_DEPTH} levels"):
        load(b"[" * 100_000, "x.yaml")


def test_an_empty_file_is_nothing() -> None:
    """None, not an empty block."""
    assert load(b"", "x.yaml") is None


FOREIGN = b"""
a: &x {b: yes, c: 2026-11-22, d: 1e3}
200: *x
on: {<<: *x, e: 0o7}
twice: 1
twice: 2
"""


def test_what_others_wrote_is_read_by_the_same_scalars() -> None:
    """With references and merges, keys as they are written, and of two the last."""
    x = {"b": "yes", "c": "2026-11-22", "d": 1000.0}
    assert load_foreign(FOREIGN, "api.yaml") == {
        "a": x,
        "200": x,
        "on": {**x, "e": "0o7"},
        "twice": 2,
    }


@pytest.mark.parametrize(
    "content",
    [
        b"a: [",
        b"\xff",
        b"a: !!python/object/apply:os.getpid []",
        b"a: &x {b: *x}",
        b"[" * 100_000,
        b"a: 1\n---\nb: 2",
    ],
)
def test_what_is_no_plain_document_is_refused(content: bytes) -> None:
    """Broken, tagged, in a circle, bottomless, or two."""
    with pytest.raises(PolicyInvalid, match=r"^api.yaml:\d+: not YAML or JSON. Cure: "):
        load_foreign(content, "api.yaml")


def test_the_items_of_a_list_know_their_lines() -> None:
    """Below any keys, in either style."""
    text = b"a:\n  b: 1\n  c:\n    - x: 1\n      y: 2\n\n    - {x: 3}\n"
    assert lines_of_items(text, ("a", "c")) == [4, 7]
    assert lines_of_items(b"a: []\n", ("a",)) == []
