import json
from typing import Any

import pytest

from proxy.monitors.shown import shown_texts, strings_in

SHOWN: dict[str, tuple[Any, tuple[str, ...]]] = {
    "content of a result": (
        {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ("a", "b"),
    ),
    "an image is not read": ({"content": [{"type": "image", "data": "AAAA"}]}, ()),
    "an embedded resource": (
        {"content": [{"type": "resource", "resource": {"uri": "x:y", "text": "a"}}]},
        ("a",),
    ),
    "resources": ({"contents": [{"uri": "x:y", "text": "a"}, {"blob": "AAAA"}]}, ("a",)),
    "prompts": ({"messages": [{"content": {"type": "text", "text": "a"}}]}, ("a",)),
    "sampling": ({"messages": [{"content": [{"text": "a"}, {"text": "b"}]}]}, ("a", "b")),
    "progress": ({"progressToken": "no", "progress": 1, "message": "a"}, ("a",)),
    "a log message": ({"level": "info", "logger": "no", "data": "a"}, ("a",)),
    "a log object": ({"data": {"x": "a", "y": ["b", 1, {"z": "c"}]}}, ("a", "b", "c")),
    "an error": ({"code": 1, "message": "a", "data": {"x": "b"}}, ("a", "b")),
    "odd shapes": ({"content": [1, {"text": 2}, None], "contents": "x", "message": 3}, ()),
    "no object": ([{"text": "a"}], ()),
}


@pytest.mark.parametrize("case", SHOWN.values(), ids=SHOWN)
def test_texts_come_in_the_order_they_are_read(case: tuple[Any, tuple[str, ...]]) -> None:
    """What people and models are shown, and nothing else."""
    document, texts = case
    assert shown_texts(json.dumps(document).encode()) == texts


def test_what_is_not_json_shows_nothing() -> None:
    """The filter judges form elsewhere."""
    assert shown_texts(b"{") == ()


def test_strings_are_found_at_any_depth_and_keys_are_not() -> None:
    """A key names what is shown."""
    assert list(strings_in({"k": ["a", {"k": "b"}], "n": 1, "t": True})) == ["a", "b"]
