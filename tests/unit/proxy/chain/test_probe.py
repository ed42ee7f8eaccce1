import pytest

from proxy.chain.guarded import Found
from proxy.chain.probe import arguments_of, verdict
from proxy.model.tool import Condition, Match, Probe

CALL = b'{"id":7,"deep":{"a/b":[1,"two"],"t~":true},"text":"hello","none":""}'


def probe(*expect: Condition, absent: tuple[Condition, ...] = ()) -> Probe:
    """Return a recipe."""
    return Probe("look", (("key", "/id"), ("part", "/deep/a~1b/1")), expect, absent)


def equals(at: str, value: str) -> Condition:
    """Return a comparison with JSON."""
    return Condition(at, Match.EQUALS, value)


def test_arguments_come_from_the_call() -> None:
    """By JSON pointer, escapes included."""
    assert arguments_of(probe(), CALL) == {"key": 7, "part": "two"}


@pytest.mark.parametrize("call", [b"{}", b'{"id":7}', b'{"id":7,"deep":{"a/b":[1]}}'])
def test_a_call_without_them_cannot_be_looked_for(call: bytes) -> None:
    """Nothing is guessed."""
    assert arguments_of(probe(), call) is None


@pytest.mark.parametrize(
    ("condition", "answer", "holds"),
    [
        (equals("/state", '"sent"'), b'{"state":"sent"}', True),
        (equals("/state", '"sent"'), b'{"state":"draft"}', False),
        (equals("/state", "null"), b"{}", False),
        (equals("/state", "null"), b'{"state":null}', True),
        (equals("/state", "1"), b'{"state":true}', False),
        (equals("", '{"a":1,"b":2}'), b'{"b":2,"a":1}', True),
        (equals("/rows/0/x", "1"), b'{"rows":[{"x":1}]}', True),
        (equals("/rows/00/x", "1"), b'{"rows":[{"x":1}]}', False),
        (equals("/rows/1/x", "1"), b'{"rows":[{"x":1}]}', False),
        (equals("/rows/0/x/y", "1"), b'{"rows":[{"x":1}]}', False),
        (Condition("/id", Match.ARGUMENT, "/id"), b'{"id":7}', True),
        (Condition("/id", Match.ARGUMENT, "/id"), b'{"id":"7"}', False),
        (Condition("/ok", Match.ARGUMENT, "/deep/t~0"), b'{"ok":true}', True),
        (Condition("/id", Match.ARGUMENT, "/other"), b'{"id":7}', False),
        (Condition("/no", Match.ARGUMENT, "/id"), b'{"id":7}', False),
        (Condition("/log", Match.CONTAINS, "/text"), b'{"log":"say hello now"}', True),
        (Condition("/log", Match.CONTAINS, "/text"), b'{"log":"say hell"}', False),
        (Condition("/log", Match.CONTAINS, "/none"), b'{"log":"anything"}', False),
        (Condition("/log", Match.CONTAINS, "/id"), b'{"log":"7"}', False),
        (Condition("/log", Match.CONTAINS, "/text"), b'{"log":["hello"]}', False),
    ],
)
def test_conditions(condition: Condition, answer: bytes, holds: bool) -> None:
    """All of them have to hold; without `absent` an answer that does not fit means: not there."""
    found = verdict(probe(condition), CALL, answer, is_error=False)
    assert found is (Found.DONE if holds else Found.ABSENT)


GONE = (equals("/status", "404"),)
THERE = equals("/status", "200")


@pytest.mark.parametrize(
    ("absent", "answer", "is_error", "found"),
    [
        ((), b'{"status":200}', True, Found.SILENT),
        ((), b'{"status":500}', True, Found.SILENT),
        (GONE, b'{"status":200}', False, Found.DONE),
        (GONE, b'{"status":404}', True, Found.ABSENT),
        (GONE, b'{"status":500}', True, Found.SILENT),
        (GONE, b'{"status":204}', False, Found.SILENT),
    ],
)
def test_an_error_says_only_what_absent_was_written_for(
    absent: tuple[Condition, ...], answer: bytes, is_error: bool, found: Found
) -> None:
    """A tool that fails has not said that the effect is not there."""
    assert verdict(probe(THERE, absent=absent), CALL, answer, is_error=is_error) is found
