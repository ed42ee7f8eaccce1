"""Builtins of ours against tables, and against the real OPA."""

import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from proxy.pdp.find_opa import find_opa
from proxy.pdp.wasm.host import HOST
from proxy.pdp.wasm.numbers import Failed

ADDRESSES = (
    "10.1.2.3", "10.1.2.03", "::ffff:10.1.2.3", "::1", "::", "fe80::1%eth0", "1.2.3", "0x7f.0.0.1",
    "2001:db8::/32", "10.0.0.0/8", "10.0.0.0/08", "10.0.0.0/33", "::ffff:0:0/96", "::ffff:0:0/95",
    "::ffff:10.0.0.0/104", "0.0.0.0/0", "::/0", "10.0.0.0/", "10.0.0.0/+8", "/8", "", "x",
    "\u0661.1.1.1", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8::", "::ffff:10.1.2.3/128", "10.1.2.3/32",
    "::/80", "::ffff:ffff:ffff/112", "1.2.3.4 ", "::1/129", "::1/0128",
    "10.0.0.0/0000008", "10.0.0.0/0000000", "10.0.0.0/00000033", "10.0.0.0/1000000",
)  # fmt: skip
TEXTS: tuple[tuple[str, list[Any]], ...] = (
    ("%v Argument: %v.", ["a", "b"]),
    ("%s|%d|%v|%%", ["x", 7, -1]),
    ("%v %v %v", [None, True, [1, "a", {"b": []}]]),
    ("%v", [{"b": 1, "a": [None]}]),
    ("none", []),
    ("%v", [[1, 1.5, 1.0]]),
    ("%v %v %v %v %v", [-0.5, 1e21, 123456.5, -1.25e-5, 12345678.5]),
)
UNKNOWN: tuple[tuple[Any, Any], ...] = (
    ("%v", []), ("x", ["y"]), ("%5d", [1]), ("%x", [1]), ("%", []), ("%d", ["a"]), ("%s", [1]),
    ("%s", [Decimal("1.5")]), ("%v", [[Decimal("1e40")]]), ("%v", [["\u00e9"]]), ("%v", "a"),
    (1, []), ("%v", [Decimal("1e999")]), ("%v", [[Decimal("100.00")]]),
)  # fmt: skip


def by_opa(builtin: str, questions: list[list[Any]], place: Path) -> list[Any]:
    """Return what the real OPA makes of each question, "failed" when it fails."""
    arguments = ", ".join(f"q[{position}]" for position in range(len(questions[0])))
    rule = (
        f"package x\n\nr[i] := v if {{\n\tsome i, q in input\n\tv := {builtin}({arguments})\n}}\n"
    )
    (place / "x.rego").write_text(rule)
    (place / "input.json").write_text(json.dumps(questions, default=float))
    command = [str(find_opa().path), "eval", "--format=raw", "--data=x.rego", "--input=input.json"]
    told = subprocess.run(
        [*command, "data.x.r"], cwd=place, env={}, capture_output=True, check=True
    )
    results = json.loads(told.stdout)
    return [results.get(str(position), "failed") for position in range(len(questions))]


def opa_eval(place: Path) -> bytes:
    """Return the value of `data.x.r`."""
    command = [str(find_opa().path), "eval", "--format=raw", "--data=x.rego", "--input=input.json"]
    return subprocess.run(
        [*command, "data.x.r"], cwd=place, env={}, capture_output=True, check=True
    ).stdout


def by_us(builtin: str, question: list[Any]) -> Any:
    """Return what we make of it; fractions come as decimals."""
    question = json.loads(json.dumps(question, default=float), parse_float=Decimal)
    try:
        return HOST[builtin](*question)
    except ValueError:
        return "failed"


@pytest.mark.parametrize("network", ADDRESSES)
def test_addresses_stand_in_networks_as_in_opa(network: str, tmp_path: Path) -> None:
    """Mapped addresses, odd spellings, prefixes: the same answer, or a failure in both."""
    questions = [[network, other] for other in ADDRESSES]
    ours = [by_us("net.cidr_contains", question) for question in questions]
    assert dict(zip(ADDRESSES, ours, strict=True)) == dict(
        zip(ADDRESSES, by_opa("net.cidr_contains", questions, tmp_path), strict=True)
    )


def test_networks_are_valid_as_in_opa(tmp_path: Path) -> None:
    """The table, and what is no string at all."""
    questions: list[list[Any]] = [[network] for network in ADDRESSES]
    ours = [by_us("net.cidr_is_valid", question) for question in questions]
    assert ours == by_opa("net.cidr_is_valid", questions, tmp_path)
    assert HOST["net.cidr_is_valid"](7) is False


def test_texts_are_formatted_as_in_opa(tmp_path: Path) -> None:
    """Strings as they are, everything else as OPA writes it."""
    questions = [list(question) for question in TEXTS]
    ours = [by_us("sprintf", question) for question in questions]
    assert ours == by_opa("sprintf", questions, tmp_path)


@pytest.mark.parametrize(("template", "values"), UNKNOWN)
def test_a_format_that_is_not_known_fails(template: Any, values: Any) -> None:
    """Go writes something into the text instead, which is nobody's wish."""
    with pytest.raises(Failed):
        HOST["sprintf"](template, values)


def test_globs_are_matched_as_in_opa(tmp_path: Path) -> None:
    """Plain patterns, with the delimiters people use, on texts with line feeds and delimiters."""
    patterns = ("*", "**", "a*", "*/b", "a/**", "a.b", "", "a:*")
    texts = ("", "a", "a/b", "a\nb", "a.b", "axb", "a/b/c\n", "a:b", "\u00e9/b")
    delimiters: tuple[Any, ...] = (["/"], [], None, [".", ":"])
    questions = [[one, d, text] for one in patterns for d in delimiters for text in texts]
    by_each = zip(questions, by_opa("glob.match", questions, tmp_path), strict=True)
    assert [one for one, result in by_each if by_us("glob.match", one) != result] == []


@pytest.mark.parametrize(
    ("pattern", "delimiters"), [("a***", []), ("[a]", []), ("a", "/"), ("a", ["ab"]), ("a", [1])]
)
def test_a_glob_that_is_not_plain_fails(pattern: str, delimiters: Any) -> None:
    """Nor with delimiters that are no characters."""
    with pytest.raises(Failed):
        HOST["glob.match"](pattern, delimiters, "a")


def test_replace_is_that_of_opa(tmp_path: Path) -> None:
    """All that there are."""
    questions: list[list[Any]] = [["abcab", "ab", "x"], ["\u00e9b", "b", ""], ["", "a", "-"]]
    questions.append(["a", 1, ""])
    assert [by_us("replace", one) for one in questions] == by_opa("replace", questions, tmp_path)


def test_nothing_is_not_replaced() -> None:
    """OPA gives something that is no text."""
    with pytest.raises(Failed):
        HOST["replace"]("\u00e9", "", "-")


def test_the_remainder_has_the_sign_of_the_left(tmp_path: Path) -> None:
    """Of integers of any size; nothing else has one."""
    questions: list[list[Any]] = [[-7, 3], [7, -3], [2**70, 3], [1.5, 1], [7, 0], [7.0, 2]]
    assert [by_us("rem", one) for one in questions] == by_opa("rem", questions, tmp_path)


@pytest.mark.parametrize("builtin", ["lower", "upper"])
def test_every_letter_becomes_what_it_becomes_in_opa(builtin: str, tmp_path: Path) -> None:
    """All characters that change in either, one by one."""
    characters = [chr(one) for one in range(0x1F000) if not 0xD800 <= one < 0xE000]
    (tmp_path / "x.rego").write_text(f"package x\n\nr := [{builtin}(one) | some one in input]\n")
    (tmp_path / "input.json").write_text(json.dumps(characters))
    theirs = json.loads(opa_eval(tmp_path))
    ours = [HOST[builtin](one) for one in characters]
    differing = zip(characters, ours, theirs, strict=True)
    assert [one for one in differing if one[1] != one[2]] == []
