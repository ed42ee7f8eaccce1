"""A record is written as a line and read again."""

import json
from typing import Any

import pytest

from proxy.model.decision import Decision, Grant, Obligation, Reason, Verdict
from proxy.pdp.review.record import DecisionRecord, answer_of, parse_record

RECORD = DecisionRecord(
    "dec_1", "2026-01-01T00:00:00.000Z", "acme", "detent/main/decision",
    {"a": "\ud800 ü"}, {"verdict": "deny"}, "sha256:0", ("/a",), replayable=False,
)  # fmt: skip


def test_what_is_written_is_read() -> None:
    """Whatever characters stand in it."""
    line = RECORD.to_line()
    assert line.endswith(b"}\n")
    assert parse_record(line) == RECORD


@pytest.mark.parametrize(
    "changed",
    [
        {"tenant": 1},
        {"input": []},
        {"masked": "x"},
        {"replayable": 1},
        {"more": 1},
    ],
)
def test_another_shape_is_refused(changed: dict[str, Any]) -> None:
    """A member of another type, or one too many."""
    line = json.dumps(json.loads(RECORD.to_line()) | changed).encode()
    with pytest.raises(ValueError, match="not a record"):
        parse_record(line)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_a_broken_line_is_refused(line: bytes) -> None:
    """A process may have been killed while it wrote."""
    with pytest.raises(ValueError):  # noqa: PT011  (json's own words)
        parse_record(line)


def test_a_decision_is_written_as_policies_give_it() -> None:
    """With every member, empty ones included."""
    full = Decision(
        "d", Verdict.ALLOW, (Reason("a-b", "A."),), "rev",
        (Obligation("mask", {"path": "/x"}),), Grant("jwt", "aud", ("s",), 9), 3, ("l",),
    )  # fmt: skip
    assert answer_of(full) == {
        "verdict": "allow",
        "reasons": [{"id": "a-b", "message": "A."}],
        "obligations": [{"type": "mask", "path": "/x"}],
        "grant": {"broker": "jwt", "audience": "aud", "scope": ["s"], "ttl": 9},
        "cost": {"risk": 3},
        "labels": ["l"],
    }
    assert answer_of(Decision("d", Verdict.DENY, (), "rev"))["grant"] is None


def test_what_nobody_could_write_again_is_refused() -> None:
    """So deep that neither a review nor a report could hold it."""
    line = RECORD.to_line()
    start, end = line.index(b'"\\ud800'), line.index(b'},"answer"')
    deep = line[:start] + b"[" * 5_000 + line[start:end] + b"]" * 5_000 + line[end:]
    with pytest.raises(ValueError, match="too deep"):
        parse_record(deep)
