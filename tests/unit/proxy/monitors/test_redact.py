import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy.monitors.redact import REDACTED, redacted, without_texts

SECRET = "s3cr3t-value-of-a-tool"


def shows(text: str) -> bool:
    """Find the secret plain and turned round."""
    return SECRET in text or SECRET[::-1] in text


def clean(document: Any, find: Callable[[str], bool] = shows) -> Any:
    return json.loads(redacted(json.dumps(document).encode(), (SECRET,), find))


CASES: dict[str, tuple[Any, Any]] = {
    "plain, in a text": ({"a": f"key={SECRET}; ok"}, {"a": f"key={REDACTED}; ok"}),
    "twice": ([f"{SECRET} {SECRET}"], [f"{REDACTED} {REDACTED}"]),
    "encoded: the word goes": ([f"a <{SECRET[::-1]}> b"], [f"a <{REDACTED}> b"]),
    "a key": ({SECRET: 1}, {REDACTED: 1}),
    "deep": ({"a": [{"b": SECRET}, True, None, 1.5]}, {"a": [{"b": REDACTED}, True, None, 1.5]}),
    "nothing": ({"a": "b"}, {"a": "b"}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_smallest_part_that_shows_it_goes(case: tuple[Any, Any]) -> None:
    """The rest of the text stays readable."""
    document, left = case
    assert clean(document) == left


def test_a_secret_over_several_words_takes_the_whole_string() -> None:
    """No word shows it by itself."""
    assert clean(["a b c", "d"], lambda text: text == "a b c") == [REDACTED, "d"]


def test_a_number_can_be_a_secret() -> None:
    """A card number may come without quotes; true is no number."""
    document = {"n": 400000555555, "t": True, "x": 1}
    left = clean(document, lambda text: "400000555555" in text)
    assert left == {"n": REDACTED, "t": True, "x": 1}


@pytest.mark.parametrize("document", [b"", b"{", b"[" * 100_000, b'{"a":NaN}'])
def test_what_is_no_json_is_refused(document: bytes) -> None:
    """The caller withholds it."""
    with pytest.raises(ValueError, match=r"."):
        redacted(document, (SECRET,), shows)


def test_what_only_the_whole_document_shows_is_refused() -> None:
    """Spread over several strings: no part of it can be taken out."""
    with pytest.raises(ValueError, match="several"):
        redacted(b'{"a":"b","c":"d"}', (), lambda text: '"b","c"' in text)


def test_whole_texts_can_be_taken_out() -> None:
    """For what they show only together; an empty text shows nothing."""
    raw = b'{"content":[{"text":"ab"},{"text":""},{"text":"c d"}],"x":"y"}'
    left = json.loads(without_texts(raw, ("ab", "", "c d")))
    assert left == {"content": [{"text": REDACTED}, {"text": ""}, {"text": REDACTED}], "x": "y"}
