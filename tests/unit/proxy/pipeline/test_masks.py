import json
from typing import Any

import pytest

from proxy.errors import Refused
from proxy.model.decision import Decision, Obligation, Reason, Verdict
from proxy.pipeline.masks import ARGUMENTS, MAX_TEXTS_DEEP, RESULT, Mask, masked, masks_of

MAIL = "ann@example.org"
OK = (Reason("ok", "Fine."),)


def decision(*fields: dict[str, Any]) -> Decision:
    obligations = tuple(Obligation("mask", one) for one in fields)
    return Decision("dec_1", Verdict.ALLOW, OK, "sha256:r", obligations)


def show(document: Any, *paths: str) -> Any:
    """Return a result as it is shown under these masks."""
    masks = masks_of(decision(*({"path": path} for path in paths)), RESULT)
    return json.loads(masked(json.dumps(document).encode(), masks))


def text(value: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": json.dumps(value)}]}


def text_of(result: Any) -> Any:
    return json.loads(result["content"][0]["text"])


PLACES: dict[str, tuple[Any, str, Any]] = {
    "itself": ({"email": MAIL, "n": 1}, "/result/email", {"email": "[masked]", "n": 1}),
    "structured content": (
        {"content": [], "structuredContent": {"email": MAIL}},
        "/result/email",
        {"content": [], "structuredContent": {"email": "[masked]"}},
    ),
    "the body of an HTTP answer": (
        {"status": 200, "body": {"email": MAIL}},
        "/result/email",
        {"status": 200, "body": {"email": "[masked]"}},
    ),
    "the data of an error": (
        {"code": 1, "message": "no", "data": {"email": MAIL}},
        "/result/email",
        {"code": 1, "message": "no", "data": {"email": "[masked]"}},
    ),
    "any index": (
        {"body": [{"email": MAIL}, {"email": 2}, {}]},
        "/result/*/email",
        {"body": [{"email": "[masked]"}, {"email": "[masked]"}, {}]},
    ),
    "any key": (
        {"a": {"k": 1}, "b": {"k": 2}},
        "/result/*/k",
        {"a": {"k": "[masked]"}, "b": {"k": "[masked]"}},
    ),
    "one index": ({"body": [1, 2]}, "/result/1", {"body": [1, "[masked]"]}),
    "the whole path": (
        {"structuredContent": {"a": 1}},
        "/result/structuredContent/a",
        {"structuredContent": {"a": "[masked]"}},
    ),
    "a slash and a tilde in a key": (
        {"a/b": {"~": 1}},
        "/result/a~1b/~0",
        {"a/b": {"~": "[masked]"}},
    ),
    "an object": ({"who": {"email": MAIL}}, "/result/who", {"who": "[masked]"}),
    "nothing there": ({"a": [1]}, "/result/a/b/c", {"a": [1]}),
}


@pytest.mark.parametrize("case", PLACES.values(), ids=PLACES)
def test_a_path_is_masked_wherever_results_keep_their_data(case: tuple[Any, str, Any]) -> None:
    """RFC 6901, with a star for any step; what the path does not name stays."""
    document, path, shown = case
    assert show(document, path) == shown


def test_json_in_a_text_is_masked() -> None:
    """MCP servers write their structured results as text as well."""
    shown = show(text({"email": MAIL, "n": 1.5}), "/result/email")
    assert text_of(shown) == {"email": "[masked]", "n": 1.5}


def test_json_in_json_in_a_text_is_masked() -> None:
    """However often it is wrapped, up to a bound."""
    shown = show(text({"inner": json.dumps([{"email": MAIL}])}), "/result/*/email")
    assert json.loads(text_of(shown)["inner"]) == [{"email": "[masked]"}]


def test_json_wrapped_without_end_is_refused() -> None:
    """What is not looked into is not shown."""
    value = "{}"
    for _ in range(MAX_TEXTS_DEEP + 1):
        value = json.dumps([value])
    with pytest.raises(ValueError, match="JSON in JSON"):
        masked(json.dumps([value]).encode(), (Mask(RESULT, ("a",)),))


def test_a_masked_text_is_masked_in_prose_too() -> None:
    """The sentence beside the structured content says the same."""
    shown = show(
        {
            "content": [{"type": "text", "text": f"Ann's mail is {MAIL}."}, {"text": "[not json"}],
            "structuredContent": {"who": {"email": MAIL, "n": 123456, "ok": True}, "list": ["1"]},
        },
        "/result/who",
    )
    assert shown["content"][0]["text"] == "Ann's mail is [masked]."
    assert shown["structuredContent"] == {"who": "[masked]", "list": ["1"]}


def test_a_key_that_stands_twice_hides_nothing() -> None:
    """The document is written anew whenever there is a mask."""
    twice = b'{"a":{"email":"x@example.org"},"a":{}}'
    assert b"x@example" not in masked(twice, (Mask(RESULT, ("a", "email")),))


def test_without_masks_the_bytes_stay() -> None:
    """Nothing is parsed for nothing."""
    assert masked(b'{ "a": 1.0 }', ()) == b'{ "a": 1.0 }'


def test_masks_of_arguments_begin_at_the_arguments_only() -> None:
    """What is called body there is an argument like others, and its text is the tool's to read."""
    masks = masks_of(decision({"path": "/arguments/key"}), ARGUMENTS)
    arguments = {"key": "secret-key", "body": {"key": 1}, "text": '{"key":1} secret-key'}
    shown = json.loads(masked(json.dumps(arguments).encode(), masks))
    assert shown == arguments | {"key": "[masked]"}


@pytest.mark.parametrize("document", [b"", b"{", b"[" * 100_000, b'{"b":NaN}', b'{"b":1e999}'])
def test_what_cannot_be_masked_is_refused(document: bytes) -> None:
    """The caller withholds it."""
    with pytest.raises(ValueError, match=r"."):
        masked(document, (Mask(RESULT, ("a",)),))


NOT_MASKS: list[dict[str, Any]] = [
    {},
    {"path": 1},
    {"path": ""},
    {"path": "/"},
    {"path": "/result"},
    {"path": "/result/"},
    {"path": "/result//a"},
    {"path": "/result/a/"},
    {"path": "result/a"},
    {"path": "x/result/a"},
    {"path": "/result/a~2"},
    {"path": "/result/a~"},
    {"path": "/Result/a"},
    {"path": "/context/a"},
    {"path": "/result/" + "a" * 512},
    {"path": "/result/a", "replace": "x"},
    {"path": "/arguments/a"},
]


@pytest.mark.parametrize("fields", NOT_MASKS)
def test_a_mask_that_is_not_understood_denies(fields: dict[str, Any]) -> None:
    """Obligations are must-understand, their fields as well."""
    with pytest.raises(Refused, match="obligation-unknown"):
        masks_of(decision({"path": "/result/fine"}, fields), RESULT)


def test_other_obligations_and_no_decision_are_no_masks() -> None:
    """Each obligation has its own reader."""
    other = Decision("dec_1", Verdict.ALLOW, OK, "sha256:r", (Obligation("dry_run"),))
    assert masks_of(other, RESULT) == ()
    assert masks_of(None, RESULT) == ()
